// Answers calls by the name of the tool, and all else by telling it: see test_wasm_templates.py.
package main

import "errors"

func init() {
	Schema = `{"required":["word"]}`
	Validate = func(settings string) error {
		if orNone(Config("word")) != `"x"` {
			return errors.New(settings)
		}
		return nil
	}
	ToolInvoke = judgeCall
	ToolsList = func(tools []Tool, context Context) (Decision, error) {
		if len(tools) == 0 {
			return tell("tools-list", Listing, nil, "", context)
		}
		return tell("tools-list", Listing, &tools[len(tools)-1].Name, tools[0].InputSchema, context)
	}
	ToolResult = func(toolName *string, payload string, context Context) (Decision, error) {
		return tell("tool-result", Answer, toolName, payload, context)
	}
	Prompt = func(stage Stage, name *string, payload string, context Context) (Decision, error) {
		return tell("prompt", stage, name, payload, context)
	}
	Resource = func(stage Stage, uri *string, payload string, context Context) (Decision, error) {
		return tell("resource", stage, uri, payload, context)
	}
	InputRequest = func(stage Stage, payload string, context Context) (Decision, error) {
		return tell("input-request", stage, nil, payload, context)
	}
	Connection = func(stage Stage, payload string, context Context) (Decision, error) {
		return tell("connection", stage, nil, payload, context)
	}
}

func tell(kind string, stage Stage, subject *string, payload string, context Context) (Decision, error) {
	stages := [...]string{Request: "request", Listing: "listing", Answer: "answer"}
	return Warn{kind, stages[stage], orNone(subject), payload, context.ServerName}, nil
}

func judgeCall(toolName, _ string, context Context) (Decision, error) {
	why := `{"why":"é"}`
	switch toolName {
	case "modify":
		return Modify(`{"path":"é"}`), nil
	case "fail":
		return nil, errors.New("no é")
	case "deny":
		return Deny{"probed", "No é.", &why}, nil
	case "warn":
		verified, when := "not verified", "before"
		if context.Verified {
			verified = "verified"
		}
		if Time() > 1600000000000 {
			when = "after 2020"
		}
		return Warn{
			context.ServerName, orNone(context.Tenant), orNone(context.Identity), verified, context.Method,
			orNone(Metadata("subject")), orNone(Metadata("nothing")), when,
		}, nil
	}
	return Allow{}, nil
}

func orNone(text *string) string {
	if text == nil {
		return "none"
	}
	return *text
}
