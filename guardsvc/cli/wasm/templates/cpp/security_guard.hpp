// mcp:security-guard@1.0.0 for a guard in C++23: include it in the one source file of the guard.
//
// What is judged lies in memory as the canonical ABI has it and is used where it is: a text is an address and a length,
// an option a flag before its value. Every call has an instance of its own, which is why nothing is freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace security_guard {

// A string in memory, which reads as std::string_view, and an option of one.
struct Text {
  const char *at = nullptr;
  std::size_t size = 0;
  operator std::string_view() const { return {at, size}; }
};

struct Option {
  bool there = false;
  Text value;
  explicit operator bool() const { return there; }
  std::string_view operator*() const { return value; }
  std::string_view value_or(std::string_view other) const { return there ? value : other; }
};

// What is judged: the records of guard.wit.
struct Tool {
  Text name;
  Option title, description;
  Text input_schema;
  Option output_schema, annotations, other_members;
};

struct Context {
  Text server_name;
  Option tenant, identity;
  bool verified = false;
  Text method, metadata;
};

enum class Stage : std::uint8_t { request, listing, answer };

struct Call {
  Text tool_name, arguments;
  Context context;
};

struct Result {
  Option tool_name;
  Text payload;
  Context context;
};

// Of prompts, resources, input requests and connections; the subject is a prompt's name or a resource's URI.
struct Message {
  Stage stage;
  Option subject;
  Text payload;
  Context context;
};

// What is answered.
struct Allow {};
struct Deny {
  std::string code, message;
  std::optional<std::string> details = std::nullopt;
};
struct Modify { std::string json; };
struct Warn { std::vector<std::string> findings; };
using Decision = std::variant<Allow, Deny, Modify, Warn>;
using Verdict = std::expected<Decision, std::string>;

// What the guard may call.
namespace host {
namespace imported {
#define SECURITY_GUARD_HOST(name) __attribute__((import_module("mcp:security-guard/host@1.0.0"), import_name(name)))
extern "C" {
SECURITY_GUARD_HOST("log") void security_guard_log(std::int32_t level, const char *at, std::size_t size);
SECURITY_GUARD_HOST("get-time") std::uint64_t security_guard_get_time();
SECURITY_GUARD_HOST("get-metadata") void security_guard_get_metadata(const char *at, std::size_t size, Option *value);
SECURITY_GUARD_HOST("get-config") void security_guard_get_config(const char *at, std::size_t size, Option *value);
}
}

enum class Level { trace, debug, info, warning, error };

inline void log(Level level, std::string_view message) {
  imported::security_guard_log(static_cast<std::int32_t>(level), message.data(), message.size());
}
inline std::uint64_t time() { return imported::security_guard_get_time(); }
inline Option metadata(std::string_view key) {
  Option value;
  imported::security_guard_get_metadata(key.data(), key.size(), &value);
  return value;
}
inline Option config(std::string_view key) {
  Option value;
  imported::security_guard_get_config(key.data(), key.size(), &value);
  return value;
}
}

// How an answer lies in memory: result<decision, string>.
struct Answer {
  bool failed = false;
  struct Decided {
    std::uint8_t tag = 0;
    Text first, second;
    Option details;
  };
  union {
    Decided decision{};
    Text why;
  };
};

inline Text kept(std::string_view text) {
  auto &copy = *new std::string(text);
  return {copy.data(), copy.size()};
}

inline Answer::Decided lowered(const Allow &) { return {}; }
inline Answer::Decided lowered(const Deny &deny) {
  Option details;
  if (deny.details) details = {true, kept(*deny.details)};
  return {1, kept(deny.code), kept(deny.message), details};
}
inline Answer::Decided lowered(const Modify &modify) { return {2, kept(modify.json), {}, {}}; }
inline Answer::Decided lowered(const Warn &warn) {
  auto &texts = *new std::vector<Text>;
  for (const auto &finding : warn.findings) texts.push_back(kept(finding));
  return {3, {reinterpret_cast<const char *>(texts.data()), texts.size()}, {}, {}};
}

inline const Answer *answered(const Verdict &verdict) {
  auto &answer = *new Answer;
  answer.failed = !verdict;
  if (verdict) answer.decision = std::visit([](const auto &decision) { return lowered(decision); }, *verdict);
  else answer.why = kept(verdict.error());
  return &answer;
}

}

extern "C" __attribute__((export_name("cabi_realloc"))) void *security_guard_realloc(
    void *old, std::size_t, std::size_t, std::size_t size) {
  void *room = std::realloc(old, size ? size : 1);
  if (!room) __builtin_trap();
  return room;
}

// Each of these exports an interface, with the function of the guard that answers.
#define SECURITY_GUARD_EXPORT(interface, function) \
  extern "C" __attribute__((export_name("mcp:security-guard/" interface "@1.0.0#" function)))

// std::string_view schema(); std::expected<void, std::string> validate(std::string_view settings)
#define EXPORT_SETTINGS(schema, validate)                                                                          \
  SECURITY_GUARD_EXPORT("settings", "schema") const security_guard::Text *security_guard_schema() {                \
    return new security_guard::Text(security_guard::kept(schema()));                                               \
  }                                                                                                                \
  SECURITY_GUARD_EXPORT("settings", "validate")                                                                    \
  const security_guard::Option *security_guard_validate(const char *at, std::size_t size) {                        \
    auto valid = validate(std::string_view(at, size));                                                             \
    return valid ? new security_guard::Option : new security_guard::Option{true, security_guard::kept(valid.error())}; \
  }

// Verdict judge(std::span<const Tool> tools, const Context &context)
#define EXPORT_TOOLS_LIST(judge)                                                                                   \
  SECURITY_GUARD_EXPORT("tools-list", "evaluate") const security_guard::Answer *security_guard_tools_list(         \
      const security_guard::Tool *at, std::size_t size, SECURITY_GUARD_CONTEXT_PARAMETERS) {                       \
    return security_guard::answered(judge(std::span(at, size), SECURITY_GUARD_CONTEXT));                           \
  }

// Verdict judge(std::string_view tool_name, std::string_view arguments, const Context &context)
#define EXPORT_TOOL_INVOKE(judge)                                                                                  \
  SECURITY_GUARD_EXPORT("tool-invoke", "evaluate")                                                                 \
  const security_guard::Answer *security_guard_tool_invoke(const security_guard::Call *call) {                     \
    return security_guard::answered(judge(call->tool_name, call->arguments, call->context));                       \
  }

// Verdict judge(const Result &result)
#define EXPORT_TOOL_RESULT(judge) SECURITY_GUARD_EXPORT_ONE("tool-result", tool_result, Result, judge)

// Verdict judge(const Message &message)
#define EXPORT_PROMPT(judge) SECURITY_GUARD_EXPORT_ONE("prompt", prompt, Message, judge)
#define EXPORT_RESOURCE(judge) SECURITY_GUARD_EXPORT_ONE("resource", resource, Message, judge)
#define EXPORT_INPUT_REQUEST(judge) SECURITY_GUARD_EXPORT_STAGED("input-request", input_request, judge)
#define EXPORT_CONNECTION(judge) SECURITY_GUARD_EXPORT_STAGED("connection", connection, judge)

// More than 16 values are passed as the address of a structure, fewer one by one.
#define SECURITY_GUARD_EXPORT_ONE(interface, name, type, judge)                                                    \
  SECURITY_GUARD_EXPORT(interface, "evaluate")                                                                     \
  const security_guard::Answer *security_guard_##name(const security_guard::type *given) {                         \
    return security_guard::answered(judge(*given));                                                                \
  }
#define SECURITY_GUARD_EXPORT_STAGED(interface, name, judge)                                                       \
  SECURITY_GUARD_EXPORT(interface, "evaluate") const security_guard::Answer *security_guard_##name(                \
      std::int32_t stage, const char *payload, std::size_t payload_size, SECURITY_GUARD_CONTEXT_PARAMETERS) {      \
    return security_guard::answered(judge(security_guard::Message{                                                 \
        static_cast<security_guard::Stage>(stage), {}, {payload, payload_size}, SECURITY_GUARD_CONTEXT}));         \
  }
#define SECURITY_GUARD_CONTEXT_PARAMETERS                                                                          \
  const char *server, std::size_t server_size, std::int32_t has_tenant, const char *tenant,                        \
      std::size_t tenant_size, std::int32_t has_identity, const char *identity, std::size_t identity_size,         \
      std::int32_t verified, const char *method, std::size_t method_size, const char *metadata,                    \
      std::size_t metadata_size
#define SECURITY_GUARD_CONTEXT                                                                                     \
  (security_guard::Context{{server, server_size}, {has_tenant != 0, {tenant, tenant_size}},                        \
                           {has_identity != 0, {identity, identity_size}}, verified != 0,                          \
                           {method, method_size}, {metadata, metadata_size}})
