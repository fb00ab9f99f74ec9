// guard-name refuses calls whose arguments hold a forbidden text.
package main

import "strings"

const forbidden = "/etc/passwd"

func init() { ToolInvoke = judgeCall }

// judgeCall is given the arguments as a JSON object. An error is a failure of the guard.
func judgeCall(toolName, arguments string, _ Context) (Decision, error) {
	if !strings.Contains(arguments, forbidden) {
		return Allow{}, nil
	}
	Log(2, "forbidden text in a call of "+toolName)
	return Deny{Code: "forbidden_text", Message: "An argument holds a forbidden text."}, nil
}
