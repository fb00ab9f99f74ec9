//! `forbidden-text`: refuses calls whose arguments hold a text, and lists with a tool whose description holds one.
//!
//! The texts are the settings `in_arguments` and `in_descriptions`, compared without case in ASCII.

wit_bindgen::generate!({
    path: "../wit",
    generate_all,
    inline: "
        package guardsvc:forbidden-text;

        world forbidden-text {
            import mcp:security-guard/host@1.0.0;
            export mcp:security-guard/settings@1.0.0;
            export mcp:security-guard/tools-list@1.0.0;
            export mcp:security-guard/tool-invoke@1.0.0;
        }
    ",
});

use exports::mcp::security_guard::{settings, tool_invoke, tools_list};
use mcp::security_guard::host;
use mcp::security_guard::types::{Decision, DenyReason, GuardContext, Tool};

const SCHEMA: &str = r#"{"type":"object","additionalProperties":false,"properties":{
"in_arguments":{"type":"string","minLength":1},"in_descriptions":{"type":"string","minLength":1}}}"#;

struct ForbiddenText;

impl settings::Guest for ForbiddenText {
    fn schema() -> String {
        SCHEMA.to_string()
    }

    fn validate(settings: String) -> Result<(), String> {
        if settings.trim() == "{}" {
            return Err("nothing is forbidden".to_string());
        }
        Ok(())
    }
}

impl tools_list::Guest for ForbiddenText {
    fn evaluate(tools: Vec<Tool>, _context: GuardContext) -> Result<Decision, String> {
        let Some(text) = forbidden("in_descriptions") else {
            return Ok(Decision::Allow);
        };
        let found = tools
            .iter()
            .any(|tool| tool.description.as_deref().is_some_and(|description| holds(description, &text)));
        Ok(if found { deny("A tool's description holds a forbidden text.") } else { Decision::Allow })
    }
}

impl tool_invoke::Guest for ForbiddenText {
    fn evaluate(tool_name: String, arguments: String, _context: GuardContext) -> Result<Decision, String> {
        let Some(text) = forbidden("in_arguments") else {
            return Ok(Decision::Allow);
        };
        if holds(&arguments, &text) {
            host::log(2, &format!("forbidden text in a call of {tool_name}"));
            return Ok(deny("An argument holds a forbidden text."));
        }
        Ok(Decision::Allow)
    }
}

fn deny(message: &str) -> Decision {
    Decision::Deny(DenyReason { code: "forbidden_text".to_string(), message: message.to_string(), details: None })
}

/// A setting that is a JSON string without escapes.
fn forbidden(key: &str) -> Option<String> {
    let json = host::get_config(key)?;
    Some(json.trim_matches('"').to_ascii_lowercase())
}

fn holds(text: &str, forbidden: &str) -> bool {
    let (text, forbidden) = (text.as_bytes(), forbidden.as_bytes());
    !forbidden.is_empty() && text.windows(forbidden.len()).any(|window| window.eq_ignore_ascii_case(forbidden))
}

export!(ForbiddenText);
