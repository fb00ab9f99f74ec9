// Refuses calls whose arguments hold a forbidden text.
#include "security_guard.hpp"

using namespace security_guard;

static constexpr std::string_view forbidden = "/etc/passwd";

// The arguments are a JSON object. std::unexpected("why") is a failure of the guard.
static Verdict judge_call(std::string_view tool_name, std::string_view arguments, const Context &) {
  if (arguments.find(forbidden) == arguments.npos) return Allow{};
  host::log(host::Level::info, "forbidden text in a call of " + std::string(tool_name));
  return Deny{.code = "forbidden_text", .message = "An argument holds a forbidden text."};
}

EXPORT_TOOL_INVOKE(judge_call)
