//! A stand-in for an API server with any number of objects: it makes up each page of a list while it is sent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use kurator_engine::backup::select::NamespaceFact;
use kurator_engine::call::Caller;
use kurator_engine::types::{ApiType, Catalog};

/// Objects in a namespace.
const IN_NAMESPACE: usize = 1000;
/// The types of the objects: a quarter of them is of each.
const TYPES: [(&str, &str); 4] = [
    ("pods", "Pod"),
    ("persistentvolumeclaims", "PersistentVolumeClaim"),
    ("persistentvolumes", "PersistentVolume"),
    ("configmaps", "ConfigMap"),
];

/// So many pods, each with a claim of its own, which has a volume of its own, and a ConfigMap.
#[derive(Clone, Copy)]
pub(crate) struct Cluster {
    of_each: usize,
}

impl Cluster {
    pub(crate) fn of(objects: usize) -> Self {
        Self { of_each: objects / TYPES.len() }
    }

    pub(crate) fn empty() -> Self {
        Self { of_each: 0 }
    }

    /// With the namespaces.
    pub(crate) fn objects(self) -> usize {
        self.of_each * TYPES.len() + self.count("namespaces")
    }

    pub(crate) fn catalog() -> Catalog {
        let types =
            TYPES.iter().copied().chain([("namespaces", "Namespace")]).map(|(resource, kind)| ApiType {
                version: "v1".to_owned(),
                kind: kind.to_owned(),
                resource: resource.to_owned(),
                namespaced: !matches!(resource, "persistentvolumes" | "namespaces"),
                verbs: ["create", "delete", "get", "list"].map(str::to_owned).into(),
                ..ApiType::default()
            });
        Catalog { types: types.collect(), failed: Vec::new() }
    }

    pub(crate) fn namespaces(self) -> Vec<NamespaceFact> {
        let fact = |number| NamespaceFact { name: namespace(number), labels: BTreeMap::new(), active: true };
        (0..self.count("namespaces")).map(fact).collect()
    }

    pub(crate) fn caller(self) -> Caller {
        let service = tower::service_fn(move |request: Request<Body>| async move {
            Ok::<_, Infallible>(self.answer(request).await)
        });
        Caller::new(Client::new(service, "default"))
    }

    /// One object by its name, which ends with its number.
    fn named(self, path: &str) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        let mut segments = path.rsplit('/');
        let (name, resource) = (segments.next().unwrap(), segments.next().unwrap());
        let number: Option<usize> = name.rsplit('-').next().and_then(|number| number.parse().ok());
        let found = number.filter(|number| *number < self.count(resource));
        let (status, body) = match found {
            Some(number) => (200, object(resource, number)),
            None => {
                (404, r#"{"kind":"Status","status":"Failure","reason":"NotFound","code":404}"#.to_owned())
            }
        };
        Response::builder().status(status).body(Full::new(body.into()).boxed_unsync()).unwrap()
    }

    fn count(self, resource: &str) -> usize {
        if resource == "namespaces" { self.of_each.div_ceil(IN_NAMESPACE) } else { self.of_each }
    }

    async fn answer(self, request: Request<Body>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
        // What is created comes back as it was sent.
        if *request.method() == Method::POST {
            let sent = request.into_body().collect().await.unwrap().to_bytes();
            return Response::builder().status(201).body(Full::new(sent).boxed_unsync()).unwrap();
        }
        let resource: Arc<str> = request.uri().path().rsplit('/').next().unwrap().into();
        if !TYPES.iter().any(|(known, _)| *known == &*resource) && &*resource != "namespaces" {
            return self.named(request.uri().path());
        }
        let query: BTreeMap<String, String> =
            form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let number = |key: &str| query.get(key).and_then(|text| text.parse().ok()).unwrap_or(0_usize);
        let (from, all) = (number("continue"), self.count(&resource));
        let to = (from + number("limit")).min(all);
        let next = if to < all { to.to_string() } else { String::new() };
        let begin = format!(r#"{{"kind":"List","metadata":{{"continue":"{next}"}},"items":["#);
        let items = (from..to).map(move |number| {
            let comma = if number == from { "" } else { "," };
            format!("{comma}{}", object(&resource, number))
        });
        let pieces = std::iter::once(begin).chain(items).chain(["]}".to_owned()]);
        let frames = pieces.map(|piece| Ok(Frame::data(Bytes::from(piece))));
        Response::new(StreamBody::new(futures::stream::iter(frames)).boxed_unsync())
    }
}

fn namespace(number: usize) -> String {
    format!("namespace-{number:04}")
}

fn object(resource: &str, number: usize) -> String {
    let namespace = namespace(number / IN_NAMESPACE);
    let metadata = |name: String| {
        format!(
            r#""metadata":{{"name":"{name}","namespace":"{namespace}","uid":"{number:032}","labels":{{"app":"a"}}}}"#
        )
    };
    match resource {
        "namespaces" => format!(
            r#"{{"metadata":{{"name":"{}"}},"status":{{"phase":"Active"}}}}"#,
            self::namespace(number)
        ),
        "pods" => format!(
            r#"{{{},"spec":{{"volumes":[{{"name":"v","persistentVolumeClaim":{{"claimName":"claim-{number}"}}}}]}}}}"#,
            metadata(format!("pod-{number}"))
        ),
        "persistentvolumeclaims" => format!(
            r#"{{{},"spec":{{"volumeName":"volume-{number}"}},"status":{{"phase":"Bound"}}}}"#,
            metadata(format!("claim-{number}"))
        ),
        "persistentvolumes" => format!(
            r#"{{"metadata":{{"name":"volume-{number}"}},"spec":{{"persistentVolumeReclaimPolicy":"Retain",
            "claimRef":{{"namespace":"{namespace}","name":"claim-{number}"}}}}}}"#
        ),
        _ => format!(r#"{{{},"data":{{"key":"value"}}}}"#, metadata(format!("map-{number}"))),
    }
}
