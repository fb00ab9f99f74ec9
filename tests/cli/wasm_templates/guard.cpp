// Answers calls by the name of the tool, and all else by telling it: see test_wasm_templates.py.
#include "security_guard.hpp"

using namespace security_guard;

static Verdict judge_call(std::string_view tool_name, std::string_view, const Context &context) {
  if (tool_name == "modify") return Modify{"{\"path\":\"\u00e9\"}"};
  if (tool_name == "fail") return std::unexpected("no \u00e9");
  if (tool_name == "deny") return Deny{"probed", "No \u00e9.", "{\"why\":\"\u00e9\"}"};
  if (tool_name != "warn") return Allow{};
  Warn seen;
  for (std::string_view each : {
           std::string_view(context.server_name),
           context.tenant.value_or("none"),
           context.identity ? *context.identity : "none",
           std::string_view(context.verified ? "verified" : "not verified"),
           std::string_view(context.method),
           host::metadata("subject").value_or("none"),
           host::metadata("nothing").value_or("none"),
           std::string_view(host::time() > 1600000000000 ? "after 2020" : "before"),
       })
    seen.findings.emplace_back(each);
  return seen;
}

static Verdict tell(std::string_view interface, std::string_view stage, const Option &subject, std::string_view payload,
                    const Context &context) {
  return Warn{{std::string(interface), std::string(stage), std::string(subject.value_or("none")), std::string(payload),
               std::string(std::string_view(context.server_name))}};
}

static Verdict told(std::string_view interface, const Message &given) {
  auto stage = given.stage == Stage::request ? "request" : given.stage == Stage::listing ? "listing" : "answer";
  return tell(interface, stage, given.subject, given.payload, given.context);
}

static Verdict prompt(const Message &given) { return told("prompt", given); }
static Verdict resource(const Message &given) { return told("resource", given); }
static Verdict input_request(const Message &given) { return told("input-request", given); }
static Verdict connection(const Message &given) { return told("connection", given); }

static Verdict judge_result(const Result &given) {
  return tell("tool-result", "answer", given.tool_name, given.payload, given.context);
}

static Verdict judge_list(std::span<const Tool> tools, const Context &context) {
  if (tools.empty()) return tell("tools-list", "listing", {}, "", context);
  return tell("tools-list", "listing", {true, tools.back().name}, tools.front().input_schema, context);
}

static std::string_view schema() { return R"({"required":["word"]})"; }

static std::expected<void, std::string> validate(std::string_view settings) {
  if (host::config("word").value_or("") == R"("x")") return {};
  return std::unexpected(std::string(settings));
}

EXPORT_SETTINGS(schema, validate)
EXPORT_TOOLS_LIST(judge_list)
EXPORT_TOOL_INVOKE(judge_call)
EXPORT_TOOL_RESULT(judge_result)
EXPORT_PROMPT(prompt)
EXPORT_RESOURCE(resource)
EXPORT_INPUT_REQUEST(input_request)
EXPORT_CONNECTION(connection)
