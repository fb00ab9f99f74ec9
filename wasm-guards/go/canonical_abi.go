package main

// How what is judged and answered lies in memory: the canonical ABI of mcp:security-guard@1.0.0. Every call has an
// instance of its own: what the host passes is used where it is.

import (
	"structs"
	"unsafe"
)

func main() {}

//go:wasmimport mcp:security-guard/host@1.0.0 log
func hostLog(level uint32, message string)

//go:wasmimport mcp:security-guard/host@1.0.0 get-time
func hostGetTime() uint64

//go:wasmimport mcp:security-guard/host@1.0.0 get-metadata
func hostGetMetadata(key string, value *maybe)

//go:wasmimport mcp:security-guard/host@1.0.0 get-config
func hostGetConfig(key string, value *maybe)

// kept is what the garbage collector cannot see: here an address is a number.
var kept []any

// room is what is left of the chunk that was made last.
var room []byte

// The host asks for room for what it passes, which is much and small: it comes out of chunks.
//
//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, was, align, size uint32) unsafe.Pointer {
	unaligned := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(room)))) % align
	skipped := (align - unaligned) % align
	if uint64(len(room)) < uint64(skipped)+uint64(size) {
		room = make([]byte, max(size, 1<<16))
		kept = append(kept, room)
		skipped = 0
	}
	at := room[skipped : skipped+size]
	room = room[skipped+size:]
	copy(at, unsafe.Slice((*byte)(old), was))
	return unsafe.Pointer(unsafe.SliceData(at))
}

type text struct {
	_        structs.HostLayout
	at, size uint32
}

func (t text) lift() string { return unsafe.String((*byte)(unsafe.Pointer(uintptr(t.at))), t.size) }

func lowered(value string) text {
	kept = append(kept, value)
	return text{at: uint32(uintptr(unsafe.Pointer(unsafe.StringData(value)))), size: uint32(len(value))}
}

// maybe is an option<string>, and as what validate answers a result<_, string>.
type maybe struct {
	_     structs.HostLayout
	there bool
	value text
}

func (m maybe) lift() *string {
	if !m.there {
		return nil
	}
	value := m.value.lift()
	return &value
}

func loweredOption(value *string) maybe {
	if value == nil {
		return maybe{}
	}
	return maybe{there: true, value: lowered(*value)}
}

type tool struct {
	_                                       structs.HostLayout
	name                                    text
	title, description                      maybe
	inputSchema                             text
	outputSchema, annotations, otherMembers maybe
}

func (t *tool) lift() Tool {
	return Tool{
		Name:         t.name.lift(),
		Title:        t.title.lift(),
		Description:  t.description.lift(),
		InputSchema:  t.inputSchema.lift(),
		OutputSchema: t.outputSchema.lift(),
		Annotations:  t.annotations.lift(),
		OtherMembers: t.otherMembers.lift(),
	}
}

type context struct {
	_                structs.HostLayout
	serverName       text
	tenant, identity maybe
	verified         bool
	method, metadata text
}

func (c *context) lift() Context {
	return Context{
		ServerName: c.serverName.lift(),
		Tenant:     c.tenant.lift(),
		Identity:   c.identity.lift(),
		Verified:   c.verified,
		Method:     c.method.lift(),
		Metadata:   c.metadata.lift(),
	}
}

// answer is a result<decision, string>. Of an error the text begins where the tag of a decision is.
type answer struct {
	_             structs.HostLayout
	failed        bool
	tag           uint32
	first, second text
	details       maybe
}

func answered(decision Decision, err error) *answer {
	if err != nil {
		why := lowered(err.Error())
		return &answer{failed: true, tag: why.at, first: text{at: why.size}}
	}
	return decision.lower()
}

func (Allow) lower() *answer { return &answer{} }

func (d Deny) lower() *answer {
	return &answer{tag: 1, first: lowered(d.Code), second: lowered(d.Message), details: loweredOption(d.Details)}
}

func (m Modify) lower() *answer { return &answer{tag: 2, first: lowered(string(m))} }

func (w Warn) lower() *answer {
	findings := make([]text, len(w))
	for n, finding := range w {
		findings[n] = lowered(finding)
	}
	kept = append(kept, findings)
	at := uint32(uintptr(unsafe.Pointer(unsafe.SliceData(findings))))
	return &answer{tag: 3, first: text{at: at, size: uint32(len(findings))}}
}
