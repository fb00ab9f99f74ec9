//! By `wasi:http/outgoing-handler`: all requests are sent before the first answer is waited for.

use wasip2::http::outgoing_handler::{handle, FutureIncomingResponse};
use wasip2::http::types::{Fields, IncomingBody, IncomingResponse, Method, OutgoingBody, OutgoingRequest, Scheme};
use wasip2::io::streams::StreamError;

const CHUNK: u64 = 64 * 1024;

pub fn post(urls: &[String], body: &str) -> Result<Vec<(u16, String)>, String> {
    let sent: Result<Vec<_>, _> = urls.iter().map(|url| send(url, body)).collect();
    sent?.into_iter().map(receive).collect()
}

fn send(url: &str, body: &str) -> Result<FutureIncomingResponse, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let at = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(at);
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };

    let headers = Fields::from_list(&[("content-type".to_string(), b"application/json".to_vec())]).map_err(told)?;
    let request = OutgoingRequest::new(headers);
    request.set_method(&Method::Post).map_err(told)?;
    request.set_scheme(Some(&scheme)).map_err(told)?;
    request.set_authority(Some(authority)).map_err(told)?;
    request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })).map_err(told)?;

    let outgoing = request.body().map_err(told)?;
    let answer = handle(request, None).map_err(told)?;
    let stream = outgoing.write().map_err(told)?;
    for chunk in body.as_bytes().chunks(4096) {
        stream.blocking_write_and_flush(chunk).map_err(told)?;
    }
    drop(stream);
    OutgoingBody::finish(outgoing, None).map_err(told)?;
    Ok(answer)
}

fn receive(answer: FutureIncomingResponse) -> Result<(u16, String), String> {
    answer.subscribe().block();
    let response: IncomingResponse = answer.get().ok_or("no answer")?.map_err(told)?.map_err(told)?;
    let status = response.status();
    let incoming = response.consume().map_err(told)?;
    let mut body = Vec::new();
    {
        let stream = incoming.stream().map_err(told)?;
        loop {
            match stream.blocking_read(CHUNK) {
                Ok(chunk) => body.extend(chunk),
                Err(StreamError::Closed) => break,
                Err(error) => return Err(told(error)),
            }
        }
    }
    IncomingBody::finish(incoming);
    String::from_utf8(body).map(|body| (status, body)).map_err(told)
}

fn told(error: impl core::fmt::Debug) -> String {
    format!("{error:?}")
}
