package main

// What a component can export of mcp:security-guard@1.0.0; wasm-tools takes of it what the world names. More than 16
// values are passed as the address of a structure, fewer one by one.

import (
	"structs"
	"unsafe"
)

type call struct {
	_                   structs.HostLayout
	toolName, arguments text
	context             context
}

type result struct {
	_        structs.HostLayout
	toolName maybe
	payload  text
	context  context
}

type message struct {
	_       structs.HostLayout
	stage   Stage
	subject maybe
	payload text
	context context
}

//go:wasmexport mcp:security-guard/settings@1.0.0#schema
func exportSchema() *text {
	schema := lowered(Schema)
	return &schema
}

//go:wasmexport mcp:security-guard/settings@1.0.0#validate
func exportValidate(at, size uint32) *maybe {
	var wrong maybe
	if err := Validate(text{at: at, size: size}.lift()); err != nil {
		wrong = maybe{there: true, value: lowered(err.Error())}
	}
	return &wrong
}

//go:wasmexport mcp:security-guard/tools-list@1.0.0#evaluate
func exportToolsList(
	at unsafe.Pointer, size uint32,
	server, serverSize uint32, hasTenant bool, tenant, tenantSize uint32, hasIdentity bool, identity, identitySize uint32,
	verified bool, method, methodSize, metadata, metadataSize uint32,
) *answer {
	tools := make([]Tool, size)
	for n, each := range unsafe.Slice((*tool)(at), size) {
		tools[n] = each.lift()
	}
	return answered(ToolsList(tools, flat(
		server, serverSize, hasTenant, tenant, tenantSize, hasIdentity, identity, identitySize,
		verified, method, methodSize, metadata, metadataSize,
	)))
}

//go:wasmexport mcp:security-guard/tool-invoke@1.0.0#evaluate
func exportToolInvoke(given *call) *answer {
	return answered(ToolInvoke(given.toolName.lift(), given.arguments.lift(), given.context.lift()))
}

//go:wasmexport mcp:security-guard/tool-result@1.0.0#evaluate
func exportToolResult(given *result) *answer {
	return answered(ToolResult(given.toolName.lift(), given.payload.lift(), given.context.lift()))
}

//go:wasmexport mcp:security-guard/prompt@1.0.0#evaluate
func exportPrompt(given *message) *answer {
	return answered(Prompt(given.stage, given.subject.lift(), given.payload.lift(), given.context.lift()))
}

//go:wasmexport mcp:security-guard/resource@1.0.0#evaluate
func exportResource(given *message) *answer {
	return answered(Resource(given.stage, given.subject.lift(), given.payload.lift(), given.context.lift()))
}

//go:wasmexport mcp:security-guard/input-request@1.0.0#evaluate
func exportInputRequest(
	stage, payload, payloadSize uint32,
	server, serverSize uint32, hasTenant bool, tenant, tenantSize uint32, hasIdentity bool, identity, identitySize uint32,
	verified bool, method, methodSize, metadata, metadataSize uint32,
) *answer {
	return answered(InputRequest(Stage(stage), text{at: payload, size: payloadSize}.lift(), flat(
		server, serverSize, hasTenant, tenant, tenantSize, hasIdentity, identity, identitySize,
		verified, method, methodSize, metadata, metadataSize,
	)))
}

//go:wasmexport mcp:security-guard/connection@1.0.0#evaluate
func exportConnection(
	stage, payload, payloadSize uint32,
	server, serverSize uint32, hasTenant bool, tenant, tenantSize uint32, hasIdentity bool, identity, identitySize uint32,
	verified bool, method, methodSize, metadata, metadataSize uint32,
) *answer {
	return answered(Connection(Stage(stage), text{at: payload, size: payloadSize}.lift(), flat(
		server, serverSize, hasTenant, tenant, tenantSize, hasIdentity, identity, identitySize,
		verified, method, methodSize, metadata, metadataSize,
	)))
}

// flat is the context of which each value is passed by itself.
func flat(
	server, serverSize uint32, hasTenant bool, tenant, tenantSize uint32, hasIdentity bool, identity, identitySize uint32,
	verified bool, method, methodSize, metadata, metadataSize uint32,
) Context {
	return Context{
		ServerName: text{at: server, size: serverSize}.lift(),
		Tenant:     maybe{there: hasTenant, value: text{at: tenant, size: tenantSize}}.lift(),
		Identity:   maybe{there: hasIdentity, value: text{at: identity, size: identitySize}}.lift(),
		Verified:   verified,
		Method:     text{at: method, size: methodSize}.lift(),
		Metadata:   text{at: metadata, size: metadataSize}.lift(),
	}
}
