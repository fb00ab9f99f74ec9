package main

// mcp:security-guard@1.0.0 for a guard in Go: what is judged and answered, and what the guard may call. How that lies
// in memory is in canonical_abi.go.

// What the guard does, by interface: init sets what its world exports, and nothing else is called.
var (
	Schema   string // JSON Schema of the settings
	Validate func(settings string) error

	ToolsList    func(tools []Tool, context Context) (Decision, error)
	ToolInvoke   func(toolName, arguments string, context Context) (Decision, error)
	ToolResult   func(toolName *string, payload string, context Context) (Decision, error)
	Prompt       func(stage Stage, name *string, payload string, context Context) (Decision, error)
	Resource     func(stage Stage, uri *string, payload string, context Context) (Decision, error)
	InputRequest func(stage Stage, payload string, context Context) (Decision, error)
	Connection   func(stage Stage, payload string, context Context) (Decision, error)
)

// Tool is a tool as its server lists it; nil stands for what it does not have.
type Tool struct {
	Name                                    string
	Title, Description                      *string
	InputSchema                             string  // JSON
	OutputSchema, Annotations, OtherMembers *string // JSON
}

// Context says which operation is judged, and for whom.
type Context struct {
	ServerName       string
	Tenant, Identity *string
	Verified         bool
	Method           string
	Metadata         string // JSON object of strings
}

// Stage says on which side of an exchange a message stands.
type Stage uint8

const (
	Request Stage = iota
	Listing
	Answer
)

// Decision is one of Allow, Deny, Modify and Warn. An error in its place is a failure of the guard.
type Decision interface{ lower() *answer }

// Allow lets the operation pass.
type Allow struct{}

// Deny refuses it: a code in snake_case and one sentence for the client, which must not repeat a value.
type Deny struct {
	Code, Message string
	Details       *string // JSON object for error.data
}

// Modify is the JSON of what goes on in place of what was judged.
type Modify string

// Warn lets the operation pass with findings.
type Warn []string

// Log writes a line to the log of the host: 0 trace, 1 debug, 2 info, 3 warning, 4 error.
func Log(level uint8, message string) { hostLog(uint32(level), message) }

// Time tells when the call began, in Unix milliseconds.
func Time() uint64 { return hostGetTime() }

// Metadata tells what the host knows of the operation by a key, nil where that is nothing.
func Metadata(key string) *string {
	var value maybe
	hostGetMetadata(key, &value)
	return value.lift()
}

// Config tells the JSON of one member of the settings, nil where it is not set.
func Config(key string) *string {
	var value maybe
	hostGetConfig(key, &value)
	return value.lift()
}
