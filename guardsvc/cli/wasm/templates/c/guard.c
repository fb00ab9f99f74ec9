/* Refuses calls whose arguments hold a forbidden text. */
#include "security_guard.h"

static const text FORBIDDEN = TEXT("/etc/passwd");

static bool holds(text in, text what) {
  for (size_t i = 0; i + what.size <= in.size; i++) {
    size_t j = 0;
    while (j < what.size && in.at[i + j] == what.at[j]) j++;
    if (j == what.size) return true;
  }
  return false;
}

/* The arguments are a JSON object. failed(TEXT("why")) is a failure of the guard. */
static answer judge_call(const call *given) {
  if (!holds(given->arguments, FORBIDDEN)) return allow();
  host_log(2, TEXT("forbidden text in a call"));
  return deny((deny_reason){.code = TEXT("forbidden_text"), .message = TEXT("An argument holds a forbidden text.")});
}

EXPORT_TOOL_INVOKE(judge_call)
