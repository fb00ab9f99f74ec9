//! `ask-service`: asks a service over HTTP whether a call may go on, in place of a hook.
//!
//! It posts `{"tool", "arguments", "tenant"}` to the setting `url`; the service answers `{"allow": true}` or
//! `{"allow": false, "reason": "snake_case"}`. Built as it is it asks by the import `http`, with the feature `wasi` by
//! `wasi:http/outgoing-handler`. With the setting `also`, a second URL, it asks both at once and both must allow.

#[cfg(not(feature = "wasi"))]
wit_bindgen::generate!({
    path: "../../wit",
    generate_all,
    inline: "
        package guardsvc:ask-service;

        world ask-service {
            import mcp:security-guard/host@1.0.0;
            import mcp:security-guard/http@1.0.0;
            export mcp:security-guard/tool-invoke@1.0.0;
        }
    ",
});

#[cfg(feature = "wasi")]
wit_bindgen::generate!({
    path: "../../wit",
    generate_all,
    inline: "
        package guardsvc:ask-service;

        world ask-service {
            import mcp:security-guard/host@1.0.0;
            export mcp:security-guard/tool-invoke@1.0.0;
        }
    ",
});

#[cfg_attr(feature = "wasi", path = "over_wasi.rs")]
mod over_http;

use exports::mcp::security_guard::tool_invoke;
use mcp::security_guard::host;
use mcp::security_guard::types::{Decision, DenyReason, GuardContext};
use serde_json::{json, Value};

struct AskService;

impl tool_invoke::Guest for AskService {
    fn evaluate(tool_name: String, arguments: String, context: GuardContext) -> Result<Decision, String> {
        let urls: Vec<String> = ["url", "also"].into_iter().filter_map(setting).collect();
        let arguments: Value = serde_json::from_str(&arguments).map_err(|error| error.to_string())?;
        let body = json!({"tool": tool_name, "arguments": arguments, "tenant": context.tenant}).to_string();
        for (status, answer) in over_http::post(&urls, &body)? {
            if status != 200 {
                return Err(format!("the service answered with status {status}"));
            }
            let answer: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
            if answer["allow"] != true {
                let code = answer["reason"].as_str().unwrap_or("service_denied").to_string();
                let message = "A service refuses this call.".to_string();
                return Ok(Decision::Deny(DenyReason { code, message, details: None }));
            }
        }
        Ok(Decision::Allow)
    }
}

fn setting(key: &str) -> Option<String> {
    serde_json::from_str(&host::get_config(key)?).ok()
}

export!(AskService);
