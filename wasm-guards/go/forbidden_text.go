// forbidden-text refuses calls whose arguments hold a text, and lists with a tool whose description holds one.
//
// The texts are the settings in_arguments and in_descriptions, compared without case in ASCII.
package main

import (
	"errors"
	"strings"
)

func init() {
	Schema, Validate = schema, validate
	ToolsList, ToolInvoke = judgeList, judgeCall
}

const schema = `{"type":"object","additionalProperties":false,"properties":{
"in_arguments":{"type":"string","minLength":1},"in_descriptions":{"type":"string","minLength":1}}}`

func validate(settings string) error {
	if strings.TrimSpace(settings) == "{}" {
		return errors.New("nothing is forbidden")
	}
	return nil
}

func judgeList(tools []Tool, _ Context) (Decision, error) {
	text := forbidden("in_descriptions")
	for _, tool := range tools {
		if tool.Description != nil && holds(*tool.Description, text) {
			return deny("A tool's description holds a forbidden text."), nil
		}
	}
	return Allow{}, nil
}

func judgeCall(toolName, arguments string, _ Context) (Decision, error) {
	if holds(arguments, forbidden("in_arguments")) {
		Log(2, "forbidden text in a call of "+toolName)
		return deny("An argument holds a forbidden text."), nil
	}
	return Allow{}, nil
}

func deny(message string) Decision { return Deny{Code: "forbidden_text", Message: message} }

// forbidden is a setting that is a JSON string without escapes, empty where it is not set.
func forbidden(key string) string {
	json := Config(key)
	if json == nil {
		return ""
	}
	return lower(strings.Trim(*json, `"`))
}

func holds(text, forbidden string) bool {
	return forbidden != "" && strings.Contains(lower(text), forbidden)
}

// lower is for ASCII alone, unlike strings.ToLower.
func lower(text string) string {
	bytes := []byte(text)
	for n, b := range bytes {
		if 'A' <= b && b <= 'Z' {
			bytes[n] = b + 'a' - 'A'
		}
	}
	return string(bytes)
}
