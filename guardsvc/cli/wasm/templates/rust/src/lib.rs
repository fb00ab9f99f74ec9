//! Refuses calls whose arguments hold a forbidden text.

wit_bindgen::generate!({ path: "wit", world: "guard-name", generate_all });

use exports::mcp::security_guard::tool_invoke::Guest;
use mcp::security_guard::host;
use mcp::security_guard::types::{Decision, DenyReason, GuardContext};

const FORBIDDEN: &str = "/etc/passwd";

struct Guard;

impl Guest for Guard {
    fn evaluate(tool_name: String, arguments: String, _context: GuardContext) -> Result<Decision, String> {
        if !arguments.contains(FORBIDDEN) {
            return Ok(Decision::Allow);
        }
        host::log(2, &format!("forbidden text in a call of {tool_name}"));
        Ok(Decision::Deny(DenyReason {
            code: "forbidden_text".to_string(),
            message: "An argument holds a forbidden text.".to_string(),
            details: None,
        }))
    }
}

export!(Guard);
