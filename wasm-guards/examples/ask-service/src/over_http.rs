//! By the import `http`: all requests at once, answers in the order of the URLs.

use crate::mcp::security_guard::http::{send_all, Request};

pub fn post(urls: &[String], body: &str) -> Result<Vec<(u16, String)>, String> {
    let requests: Vec<Request> = urls
        .iter()
        .map(|url| Request {
            method: "POST".to_string(),
            url: url.clone(),
            headers: vec![("content-type".to_string(), "application/json".to_string())],
            body: body.to_string(),
        })
        .collect();
    send_all(&requests)
        .into_iter()
        .map(|answer| answer.map(|answer| (answer.status, answer.body)).map_err(|error| format!("{error:?}")))
        .collect()
}
