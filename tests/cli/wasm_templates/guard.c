/* Answers calls by the name of the tool, and all else by telling it: see test_wasm_templates.py. */
#include "security_guard.h"

static bool is(text given, text name) {
  for (size_t i = 0; i < name.size; i++)
    if (i >= given.size || given.at[i] != name.at[i]) return false;
  return given.size == name.size;
}

static text or_none(maybe given) { return given.there ? given.value : TEXT("none"); }

static answer judge_call(const call *given) {
  static text seen[8];
  const context *context = &given->context;
  if (is(given->tool_name, TEXT("modify"))) return modify(TEXT("{\"path\":\"\u00e9\"}"));
  if (is(given->tool_name, TEXT("fail"))) return failed(TEXT("no \u00e9"));
  if (is(given->tool_name, TEXT("deny")))
    return deny((deny_reason){TEXT("probed"), TEXT("No \u00e9."), {true, TEXT("{\"why\":\"\u00e9\"}")}});
  if (!is(given->tool_name, TEXT("warn"))) return allow();
  seen[0] = context->server_name;
  seen[1] = or_none(context->tenant);
  seen[2] = or_none(context->identity);
  seen[3] = context->verified ? TEXT("verified") : TEXT("not verified");
  seen[4] = context->method;
  seen[5] = or_none(host_get_metadata(TEXT("subject")));
  seen[6] = or_none(host_get_metadata(TEXT("nothing")));
  seen[7] = host_get_time() > 1600000000000 ? TEXT("after 2020") : TEXT("before");
  return warn((texts){seen, 8});
}

static answer tell(text interface, text at_stage, maybe subject, text payload, const context *context) {
  static text told[5];
  told[0] = interface;
  told[1] = at_stage;
  told[2] = or_none(subject);
  told[3] = payload;
  told[4] = context->server_name;
  return warn((texts){told, 5});
}

static const text STAGES[] = {TEXT("request"), TEXT("listing"), TEXT("answer")};

#define TELL(name, interface)                                                                    \
  static answer name(const message *given) {                                                     \
    return tell(TEXT(interface), STAGES[given->stage], given->subject, given->payload, &given->context); \
  }
TELL(prompt, "prompt")
TELL(resource, "resource")
TELL(input_request, "input-request")
TELL(connection, "connection")

static answer judge_result(const result *given) {
  return tell(TEXT("tool-result"), STAGES[ANSWER], given->tool_name, given->payload, &given->context);
}

static answer judge_list(const listing *given) {
  if (!given->size) return tell(TEXT("tools-list"), STAGES[LISTING], (maybe){0}, TEXT(""), &given->context);
  maybe last = {true, given->at[given->size - 1].name};
  return tell(TEXT("tools-list"), STAGES[LISTING], last, given->at[0].input_schema, &given->context);
}

static text schema(void) { return TEXT("{\"required\":[\"word\"]}"); }

static maybe validate(text settings) {
  return is(or_none(host_get_config(TEXT("word"))), TEXT("\"x\"")) ? (maybe){0} : (maybe){true, settings};
}

EXPORT_SETTINGS(schema, validate)
EXPORT_TOOLS_LIST(judge_list)
EXPORT_TOOL_INVOKE(judge_call)
EXPORT_TOOL_RESULT(judge_result)
EXPORT_PROMPT(prompt)
EXPORT_RESOURCE(resource)
EXPORT_INPUT_REQUEST(input_request)
EXPORT_CONNECTION(connection)
