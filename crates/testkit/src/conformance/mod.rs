//! What an API server answers, in a form that two servers can be compared by.
//!
//! A case is a list of requests. What the lab's kube-apiserver answers to them is recorded in `recorded/`, by
//! `KURATOR_RECORD=1 cargo test --workspace --test conformance`; that server and the embedded one are both compared with
//! what is recorded, so that a machine without a lab knows what a real server does.

mod cases;
mod normal;

use std::{
    error::Error,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt};
use http::{Request, header};
use kube::{Client, client::Body};
use serde_json::{Value, json};

pub use cases::all;
use normal::Names;

/// What a case or the suite ends with.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// How long something may take that a real cluster's controllers do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A named list of steps. `{ns}` in a path or body is the case's own namespace, which the suite makes.
pub struct Case {
    /// Its name, which is its namespace and its file.
    pub name: &'static str,
    /// What is asked, one after the other.
    pub steps: Vec<Step>,
}

/// One request.
pub struct Step {
    method: &'static str,
    path: String,
    body: Option<String>,
    headers: Vec<(&'static str, &'static str)>,
    kind: Kind,
    /// Its answer is needed, but not compared.
    unseen: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Its answer is recorded.
    Once,
    /// Repeated until its answer has this code and this text; only that one is recorded.
    Until(u16, &'static str),
    /// The first events of a watch.
    Watch(usize),
}

fn step(method: &'static str, path: &str, body: Option<String>, kind: Kind) -> Step {
    Step { method, path: path.to_owned(), body, headers: Vec::new(), kind, unseen: false }
}

/// Reads.
pub fn get(path: &str) -> Step {
    step("GET", path, None, Kind::Once)
}

/// Creates.
pub fn post(path: &str, body: &Value) -> Step {
    step("POST", path, Some(body.to_string()), Kind::Once)
}

/// Replaces.
pub fn put(path: &str, body: &Value) -> Step {
    step("PUT", path, Some(body.to_string()), Kind::Once)
}

/// Deletes, with options.
pub fn delete(path: &str, options: &Value) -> Step {
    step("DELETE", path, Some(options.to_string()), Kind::Once)
}

/// A request with any body at all.
pub fn raw(method: &'static str, path: &str, body: &str) -> Step {
    step(method, path, Some(body.to_owned()), Kind::Once)
}

fn patch(path: &str, kind: &'static str, body: &Value) -> Step {
    step("PATCH", path, Some(body.to_string()), Kind::Once).header("content-type", kind)
}

/// RFC 6902.
pub fn json_patch(path: &str, body: &Value) -> Step {
    patch(path, "application/json-patch+json", body)
}

/// RFC 7386.
pub fn merge_patch(path: &str, body: &Value) -> Step {
    patch(path, "application/merge-patch+json", body)
}

/// A strategic merge patch.
pub fn strategic_patch(path: &str, body: &Value) -> Step {
    patch(path, "application/strategic-merge-patch+json", body)
}

/// A server-side apply.
pub fn apply(path: &str, body: &Value) -> Step {
    patch(path, "application/apply-patch+yaml", body)
}

/// Reads this many events.
pub fn watch(path: &str, events: usize) -> Step {
    step("GET", path, None, Kind::Watch(events))
}

/// Reads until the answer has this code and contains this text.
pub fn until(path: &str, code: u16, text: &'static str) -> Step {
    step("GET", path, None, Kind::Until(code, text))
}

/// Posts until the answer has this code.
pub fn until_posted(path: &str, body: &Value, code: u16) -> Step {
    step("POST", path, Some(body.to_string()), Kind::Until(code, ""))
}

impl Step {
    /// Of whose answer only the code is compared: one with more defaults than the embedded server fills in.
    #[must_use]
    pub fn unseen(mut self) -> Self {
        self.unseen = true;
        self
    }

    /// With a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// What a server answered to the steps of a case.
///
/// # Errors
/// The server did not answer, or not in time.
pub async fn transcript(client: &Client, case: &Case) -> Outcome<Value> {
    let namespace = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": case.name}});
    send(client, &post("/api/v1/namespaces", &namespace)).await?;
    let mut answers: Vec<Value> = Vec::new();
    let mut lines: Vec<Value> = Vec::new();
    let mut names = Names::default();
    for step in &case.steps {
        let step = Step {
            method: step.method,
            path: filled(&step.path, case.name, &answers)?,
            body: step.body.as_ref().map(|body| filled(body, case.name, &answers)).transpose()?,
            headers: step.headers.clone(),
            kind: step.kind,
            unseen: step.unseen,
        };
        let (head, body) = send(client, &step).await?;
        answers.push(body.clone());
        let request = names.normal(&json!(format!("{} {}", step.method, step.path)), "");
        let body = if step.unseen { Value::Null } else { names.normal(&body, "") };
        let mut line = json!({"request": request, "code": head["code"], "body": body});
        if let Some(warnings) = head.get("warnings") {
            line["warnings"] = warnings.clone();
        }
        lines.push(line);
    }
    Ok(Value::Array(lines))
}

/// Fills in `{ns}`, and `{2:/metadata/uid}` from the answer to the second step.
fn filled(text: &str, namespace: &str, answers: &[Value]) -> Outcome<String> {
    let mut rest = text.replace("{ns}", namespace);
    let mut filled = String::new();
    while let Some((before, number, pointer, after)) = reference(&rest) {
        let answer =
            answers.get(number - 1).and_then(|answer| answer.pointer(&pointer)).and_then(Value::as_str);
        filled.push_str(&before);
        filled.push_str(answer.ok_or_else(|| format!("the answer {number} has no text at {pointer}"))?);
        rest = after;
    }
    Ok(filled + &rest)
}

/// What stands before the first reference, the answer and the place that it names, and what stands after it.
fn reference(text: &str) -> Option<(String, usize, String, String)> {
    text.match_indices('{').find_map(|(start, _)| {
        let (inside, after) = text[start + 1..].split_once('}')?;
        let (number, pointer) = inside.split_once(':')?;
        let number = number.parse().ok().filter(|number| *number > 0)?;
        Some((text[..start].to_owned(), number, pointer.to_owned(), after.to_owned()))
    })
}

async fn send(client: &Client, step: &Step) -> Outcome<(Value, Value)> {
    let since = Instant::now();
    loop {
        let mut request =
            Request::builder().method(step.method).uri(&step.path).header(header::USER_AGENT, "suite/1.0");
        if step.body.is_some() && !step.headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &step.headers {
            request = request.header(*name, *value);
        }
        let body = step.body.clone().unwrap_or_default();
        let response = client.send(request.body(Body::from(body.into_bytes()))?).await?;
        let mut head = json!({"code": response.status().as_u16()});
        let warnings = response.headers().get_all(header::WARNING).iter();
        let warnings: Vec<&str> = warnings.map(|warning| warning.to_str()).collect::<Result<_, _>>()?;
        if !warnings.is_empty() {
            head["warnings"] = warnings.into();
        }
        if let Kind::Watch(events) = step.kind
            && response.status().is_success()
        {
            return Ok((head, read_events(response.into_body(), events).await?));
        }
        let bytes = http_body_util::BodyExt::collect(response.into_body()).await?.to_bytes();
        let body: Value =
            serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        match step.kind {
            Kind::Until(code, text) if head["code"] != code || !body.to_string().contains(text) => {
                if since.elapsed() > PATIENCE {
                    return Err(format!("{}: still {head} {body}", step.path).into());
                }
                tokio::task::yield_now().await;
            }
            _ => return Ok((head, body)),
        }
    }
}

async fn read_events(body: Body, count: usize) -> Outcome<Value> {
    let mut stream = http_body_util::BodyDataStream::new(body).map_err(|e| e.to_string());
    let mut text = Vec::new();
    while text.iter().filter(|byte| **byte == b'\n').count() < count {
        let more = tokio::time::timeout(PATIENCE, stream.next()).await?;
        let Some(bytes) = more else { break };
        text.extend_from_slice(&bytes?);
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).take(count);
    Ok(Value::Array(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?))
}

fn file(case: &Case) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance/recorded");
    PathBuf::from(folder).join(format!("{}.json", case.name))
}

/// Writes down what kube-apiserver answered.
///
/// # Errors
/// The file can't be written.
pub fn record(case: &Case, transcript: &Value) -> Outcome {
    let file = file(case);
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    Ok(std::fs::write(file, serde_json::to_string_pretty(transcript)? + "\n")?)
}

/// What is different from what was recorded, step by step.
///
/// # Errors
/// Nothing was recorded.
pub fn differences(case: &Case, transcript: &Value) -> Outcome<Vec<String>> {
    let recorded: Value = serde_json::from_slice(&std::fs::read(file(case))?)?;
    let empty = Vec::new();
    let (expected, got) = (recorded.as_array().unwrap_or(&empty), transcript.as_array().unwrap_or(&empty));
    let mut found = Vec::new();
    for (expected, got) in expected.iter().zip(got) {
        let patch = json_patch::diff(expected, got);
        if !patch.is_empty() {
            found.push(format!("{} {}\n  differs by {patch}", case.name, expected["request"]));
        }
    }
    if expected.len() != got.len() {
        found.push(format!("{}: {} steps were recorded, {} taken", case.name, expected.len(), got.len()));
    }
    Ok(found)
}
