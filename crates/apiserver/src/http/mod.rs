//! HTTP: from a request to a call and from a reply to a response. No rule of the API is here.

mod body;
mod form;
mod params;
mod path;
mod protobuf;
mod yaml;

use std::sync::Arc;

use axum::{
    Router,
    body::Body as HttpBody,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use serde_json::Value;

pub(crate) use form::{As, metadata};
pub(crate) use params::{FieldValidation, IncludeObject, Params};

use crate::{
    cluster::Cluster,
    discovery,
    error::{ApiError, Result},
    meta::NameRule,
    openapi,
    registry::Types,
    reviews,
    verbs::{self, Body, Call, DeleteOptions, Part, Reply, Want},
    watch,
};
use path::{Objects, Path};

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The API of one cluster, as kube-apiserver lays it out.
pub(crate) fn router(cluster: Arc<Cluster>) -> Router {
    Router::new().fallback(serve).with_state(cluster)
}

async fn serve(State(cluster): State<Arc<Cluster>>, request: Request) -> Response {
    match answer(&cluster, request).await {
        Ok(response) => response,
        Err(error) => json(error.code, &error.status()),
    }
}

async fn answer(cluster: &Arc<Cluster>, request: Request) -> Result<Response> {
    let (parts, content) = request.into_parts();
    let is_get = parts.method == Method::GET;
    let document =
        |value: Value| if is_get { Ok(json(200, &value)) } else { Err(ApiError::method_not_allowed()) };
    match Path::parse(parts.uri.path()) {
        Path::Objects(Objects { group, version, plural, namespace: None, name: None, .. })
            if let Some(kind) = reviews::kind(&group, &version, &plural) =>
        {
            if parts.method != Method::POST {
                return Err(ApiError::method_not_allowed());
            }
            let question = body::question(content).await?;
            Ok(json(201, &reviews::answer(&group, kind, question)))
        }
        Path::Objects(objects) => {
            // What no core kind has is not part of the API, as long as no definition makes it one.
            let is_there =
                |types: &Types| types.find(&objects.group, &objects.version, &objects.plural).is_some();
            if cluster.read(|state| !state.types.is_core(&objects.group) && !is_there(&state.types)) {
                return Ok(no_page());
            }
            let params = Params::parse(parts.uri.query().unwrap_or_default())?;
            let call = resolve(cluster, objects, params, &parts.headers)?;
            about_objects(cluster, &call, &parts, content).await
        }
        Path::Nothing if parts.uri.path().starts_with("/api") => Err(ApiError::no_such_path()),
        Path::Nothing => Ok(no_page()),
        Path::Health => Ok(text("ok")),
        Path::ServerVersion => document(discovery::server_version()),
        Path::CoreVersions if discovery::is_aggregated(&parts.headers) => {
            Ok(aggregated(&cluster.read(|state| discovery::aggregated(&state.types, true))))
        }
        Path::Groups if discovery::is_aggregated(&parts.headers) => {
            Ok(aggregated(&cluster.read(|state| discovery::aggregated(&state.types, false))))
        }
        Path::CoreVersions => document(discovery::core_versions()),
        Path::Groups => document(cluster.read(|state| discovery::groups(&state.types))),
        Path::Group(group) if cluster.read(|state| !discovery::has_group(&state.types, &group)) => {
            Ok(no_page())
        }
        Path::Group(group) => document(cluster.read(|state| discovery::group(&state.types, &group))?),
        Path::Version { group, version } => {
            document(cluster.read(|state| discovery::resources(&state.types, &group, &version))?)
        }
        Path::OpenApiV2 if is_get && openapi::v2::is_binary(&parts.headers) => {
            let kind = HeaderValue::from_static(openapi::v2::PROTOBUF);
            Ok(typed(kind, respond(200, HttpBody::from(openapi::v2::binary()))))
        }
        Path::OpenApiV2 => document(openapi::v2::document()),
        Path::OpenApi => document(cluster.read(openapi::index)),
        Path::OpenApiOf(path) => match cluster.read(|state| openapi::document(state, &path)) {
            Ok(found) => document(found),
            Err(_) => {
                let mut response = text("");
                *response.status_mut() = StatusCode::NOT_FOUND;
                Ok(response)
            }
        },
    }
}

/// Finds the type that a path names.
fn resolve(cluster: &Cluster, objects: Objects, params: Params, headers: &HeaderMap) -> Result<Call> {
    let found = cluster.read(|state| state.types.find(&objects.group, &objects.version, &objects.plural));
    let (resource, version) = found.ok_or_else(ApiError::no_such_path)?;
    if resource.namespaced && objects.namespace.is_none() && objects.name.is_some()
        || !resource.namespaced && objects.namespace.is_some()
    {
        return Err(ApiError::no_such_path());
    }
    if let Some(name) = objects.name.as_deref()
        && let Some(why) = NameRule::Segment.refuse(name)
    {
        let shown = Value::from(name);
        return Err(ApiError::bad_request(format!("Name parameter invalid: {shown}: {why}")));
    }
    let part = match objects.subresource.as_deref() {
        None => Part::Whole,
        Some("status") if resource.versions[version].status => Part::Status,
        Some("scale") if resource.versions[version].scale.is_some() => Part::Scale,
        Some("finalize") if &*resource.id == "namespaces" => {
            return Err(ApiError::not_implemented("a namespace is finalized by this server alone"));
        }
        Some(_) => return Err(ApiError::no_such_path()),
    };
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let manager = params.field_manager.clone();
    let manager =
        manager.unwrap_or_else(|| agent.split('/').next().unwrap_or_default().chars().take(128).collect());
    let Objects { namespace, name, .. } = objects;
    Ok(Call { resource, version, namespace, name, part, params, manager })
}

async fn about_objects(
    cluster: &Arc<Cluster>,
    call: &Call,
    parts: &http::request::Parts,
    content: HttpBody,
) -> Result<Response> {
    let form = As::of(&parts.headers)?;
    let has_name = call.name.is_some();
    let reply = match (&parts.method, has_name) {
        (&Method::GET, false) if call.params.watch => {
            let events = watch::watch(cluster, call, form)?;
            let events = futures::StreamExt::map(events, Ok::<_, std::convert::Infallible>);
            return Ok(respond(200, HttpBody::from_stream(events)));
        }
        (&Method::GET, true) => verbs::get(cluster, call),
        (&Method::GET, false) => verbs::list(cluster, call),
        (&Method::POST, false) => {
            if call.resource.namespaced && call.namespace.is_none() {
                return Err(ApiError::method_not_allowed());
            }
            let object = body::object(&call.resource.kind, &parts.headers, content).await?;
            verbs::write(cluster, call, &Want::Made(object))
        }
        (&Method::PUT, true) => {
            let object = body::object(&call.resource.kind, &parts.headers, content).await?;
            verbs::write(cluster, call, &Want::Replaced(object))
        }
        (&Method::PATCH, true) => {
            let patch = body::patch(call, &parts.headers, content).await?;
            verbs::check_options(call, &patch)?;
            verbs::write(cluster, call, &Want::Changed(patch))
        }
        (&Method::DELETE, _) if call.part == Part::Whole => {
            let options = body::options(&parts.headers, content).await?;
            let options = DeleteOptions::parse(call, &options)?;
            match has_name {
                true => verbs::delete(cluster, call, &options),
                // A collection is deleted in one namespace at a time.
                false if call.resource.namespaced && call.namespace.is_none() => {
                    Err(ApiError::method_not_allowed())
                }
                false if call.resource.habits.delete_collection => {
                    verbs::delete_collection(cluster, call, &options)
                }
                false => Err(ApiError::method_not_allowed()),
            }
        }
        _ => Err(ApiError::method_not_allowed()),
    }?;
    Ok(render(call, form, reply, cluster.clock.now()))
}

fn render(call: &Call, form: As, reply: Reply, now: Timestamp) -> Response {
    let body = match reply.body {
        Body::Object(text) => form.object(call, &text, now),
        Body::List(text) => form.list(call, &text, now),
        Body::Value(value) => value.to_string().into(),
    };
    let mut response = respond(reply.code, HttpBody::from(body));
    for warning in reply.warnings {
        // As RFC 9111 wants it: 299, no agent, a quoted text.
        let quoted = format!("299 - \"{}\"", warning.replace('\\', "\\\\").replace('"', "\\\""));
        if let Ok(value) = HeaderValue::from_str(&quoted) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    response
}

fn respond(code: u16, body: HttpBody) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

pub(crate) fn json(code: u16, value: &Value) -> Response {
    respond(code, HttpBody::from(value.to_string()))
}

/// What is outside of the API.
fn no_page() -> Response {
    let mut response = text("404 page not found\n");
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

fn text(text: &'static str) -> Response {
    typed(HeaderValue::from_static("text/plain; charset=utf-8"), respond(200, HttpBody::from(text)))
}

/// Discovery says in its type which form it has.
fn aggregated(text: &str) -> Response {
    const KIND: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    typed(HeaderValue::from_static(KIND), respond(200, HttpBody::from(text.to_owned())))
}

/// An answer of another type than JSON.
fn typed(kind: HeaderValue, mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
