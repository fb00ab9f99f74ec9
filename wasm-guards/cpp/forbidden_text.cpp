// forbidden-text: refuses calls whose arguments hold a text, and lists with a tool whose description holds one.
//
// The texts are the settings in_arguments and in_descriptions, compared without case in ASCII.
#include "security_guard.hpp"

#include <algorithm>

using namespace security_guard;

static char lower(char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; }

static bool holds(std::string_view text, std::string_view forbidden) {
  return !forbidden.empty() && !std::ranges::search(text, forbidden, {}, lower, lower).empty();
}

static std::string_view trimmed(std::string_view text, std::string_view what) {
  auto begin = text.find_first_not_of(what);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(what) - begin + 1);
}

// A setting that is a JSON string without escapes, empty where it is not set.
static std::string_view forbidden(std::string_view key) { return trimmed(host::config(key).value_or(""), "\""); }

static Decision deny(std::string message) { return Deny{.code = "forbidden_text", .message = std::move(message)}; }

static Verdict judge_list(std::span<const Tool> tools, const Context &) {
  auto text = forbidden("in_descriptions");
  for (const auto &tool : tools)
    if (holds(tool.description.value_or(""), text)) return deny("A tool's description holds a forbidden text.");
  return Allow{};
}

static Verdict judge_call(std::string_view tool_name, std::string_view arguments, const Context &) {
  if (!holds(arguments, forbidden("in_arguments"))) return Allow{};
  host::log(host::Level::info, "forbidden text in a call of " + std::string(tool_name));
  return deny("An argument holds a forbidden text.");
}

static std::string_view schema() {
  return R"({"type":"object","additionalProperties":false,"properties":{
"in_arguments":{"type":"string","minLength":1},"in_descriptions":{"type":"string","minLength":1}}})";
}

static std::expected<void, std::string> validate(std::string_view settings) {
  if (trimmed(settings, " \t\r\n") == "{}") return std::unexpected("nothing is forbidden");
  return {};
}

EXPORT_SETTINGS(schema, validate)
EXPORT_TOOLS_LIST(judge_list)
EXPORT_TOOL_INVOKE(judge_call)
