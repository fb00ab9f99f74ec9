/* forbidden-text: refuses calls whose arguments hold a text, and lists with a tool whose description holds one.
 *
 * The texts are the settings in_arguments and in_descriptions, compared without case in ASCII. */
#include "security_guard.h"

static char lower(char c) { return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c; }

static bool holds(text in, text forbidden) {
  if (!forbidden.size) return false;
  for (size_t i = 0; i + forbidden.size <= in.size; i++) {
    size_t j = 0;
    while (j < forbidden.size && lower(in.at[i + j]) == lower(forbidden.at[j])) j++;
    if (j == forbidden.size) return true;
  }
  return false;
}

/* A setting that is a JSON string without escapes; empty where there is none. */
static text forbidden(text key) {
  maybe setting = host_get_config(key);
  text json = setting.there ? setting.value : TEXT("");
  while (json.size && json.at[0] == '"') json.at++, json.size--;
  while (json.size && json.at[json.size - 1] == '"') json.size--;
  return json;
}

static answer refused(text message) { return deny((deny_reason){.code = TEXT("forbidden_text"), .message = message}); }

static answer judge_list(const listing *given) {
  text what = forbidden(TEXT("in_descriptions"));
  for (size_t i = 0; i < given->size; i++) {
    maybe description = given->at[i].description;
    if (description.there && holds(description.value, what))
      return refused(TEXT("A tool's description holds a forbidden text."));
  }
  return allow();
}

static void tell(text tool_name) {
  text begin = TEXT("forbidden text in a call of ");
  text line = {room(begin.size + tool_name.size), begin.size + tool_name.size};
  __builtin_memcpy((char *)line.at, begin.at, begin.size);
  __builtin_memcpy((char *)line.at + begin.size, tool_name.at, tool_name.size);
  host_log(2, line);
}

static answer judge_call(const call *given) {
  if (!holds(given->arguments, forbidden(TEXT("in_arguments")))) return allow();
  tell(given->tool_name);
  return refused(TEXT("An argument holds a forbidden text."));
}

static text schema(void) {
  return TEXT("{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\n"
              "\"in_arguments\":{\"type\":\"string\",\"minLength\":1},"
              "\"in_descriptions\":{\"type\":\"string\",\"minLength\":1}}}");
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static maybe validate(text settings) {
  while (settings.size && is_space(settings.at[0])) settings.at++, settings.size--;
  while (settings.size && is_space(settings.at[settings.size - 1])) settings.size--;
  bool empty = settings.size == 2 && settings.at[0] == '{' && settings.at[1] == '}';
  return empty ? (maybe){true, TEXT("nothing is forbidden")} : (maybe){0};
}

EXPORT_SETTINGS(schema, validate)
EXPORT_TOOLS_LIST(judge_list)
EXPORT_TOOL_INVOKE(judge_call)
