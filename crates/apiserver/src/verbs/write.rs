//! Every write takes the same way: create, replace, patch, apply, and each of them of the status alone.
//!
//! [`plan`] reads as that way, in the order of kube-apiserver. It holds no lock: it works on the object as it was seen,
//! and [`keep`] keeps the result only if what was seen is still there; otherwise everything is done again.

use std::sync::Arc;

use serde_json::Value;

use super::{Body, Call, Part, Patch, Reply, decode, patch, prepare, scale, validate};
use crate::{
    cluster::{Cluster, State},
    commit::{self, Committed},
    error::{ApiError, FieldError, Result},
    fields, garbage, meta,
    store::{Content, Key, Object},
};

/// How often a write is tried anew because somebody else was faster.
const ATTEMPTS: usize = 64;
/// Largest object that is kept, in bytes, as etcd takes them.
const LARGEST: usize = 3 << 19;
/// Largest object that would be sent to an etcd, in bytes.
const SENT: usize = 2 << 20;

/// What a request wants of an object.
pub(crate) enum Want {
    /// That it be made.
    Made(Value),
    /// That this take its place.
    Replaced(Value),
    /// That it be changed.
    Changed(Patch),
}

/// Makes, replaces or changes an object.
pub(crate) fn write(cluster: &Cluster, call: &Call, want: &Want) -> Result<Reply> {
    for _ in 0..ATTEMPTS {
        let seen = cluster.read(|state| Seen::of(state, call));
        let plan = plan(cluster, call, want, &seen)?;
        if let Some(reply) = keep(cluster, call, &seen, plan)? {
            return Ok(reply);
        }
    }
    Err(ApiError::modified(&call.resource, call.name()))
}

/// What a plan is based on.
struct Seen {
    current: Option<Arc<Object>>,
    place: Place,
}

impl Seen {
    fn of(state: &State, call: &Call) -> Self {
        let current = call.name.as_ref().and_then(|_| state.store.get(&call.key()).cloned());
        Self { current, place: Place::of(state, call) }
    }
}

/// What is to be kept.
struct Plan {
    key: Key,
    /// `None`: nothing changes.
    content: Option<Content>,
    /// The answer, if nothing more is known than what was planned.
    object: Value,
    warnings: Vec<String>,
    generated: bool,
}

fn plan(cluster: &Cluster, call: &Call, want: &Want, seen: &Seen) -> Result<Plan> {
    let old = seen.current.as_ref().map(|current| call.parse(current));
    let mut object = wanted(cluster, call, want, old.as_ref())?;
    let warnings = decode::receive(call, &mut object)?;
    decode::place(call, &mut object)?;
    let generated = old.is_none() && meta::text(&object, "name").is_empty();
    if call.name.is_some() {
        decode::check_name(call, &object)?;
    }
    if old.is_none() {
        check_may_make(call, want)?;
        prepare::name(cluster, &mut object);
    }
    decode::default(call, &mut object);
    match &old {
        None => {
            refuse_version(want, &object)?;
            seen.place.refuse(call, meta::text(&object, "name"))?;
            prepare::new(cluster, call, &mut object);
        }
        Some(old) => {
            check_preconditions(call, want, &object, old)?;
            prepare::replacing(call, old, &mut object);
            validate::check_finalizers(call, &object, old)?;
        }
    }
    if !matches!(want, Want::Changed(Patch::Apply(_))) {
        fields::written(call, old.as_ref(), &mut object, &cluster.now());
    }
    validate::validate(call, &object, old.as_ref())?;
    if let Some(old) = &old {
        meta::copy(old, &mut object, "resourceVersion");
    }
    let same = old.as_ref() == Some(&object);
    let content = (!same).then(|| Content::new(call.kept(object.clone())));
    check_size(content.as_ref().map_or(0, Content::size))?;
    Ok(Plan { key: call.key_of(meta::text(&object, "name")), content, object, warnings, generated })
}

/// The store takes no larger objects; what is said of them is what a real store and the way to it say.
fn check_size(size: usize) -> Result<()> {
    if size > SENT {
        let why = format!(
            "rpc error: code = ResourceExhausted desc = trying to send message larger than max ({size} vs. {SENT})"
        );
        return Err(ApiError::unforeseen(why));
    }
    if size > LARGEST {
        return Err(ApiError::unforeseen("etcdserver: request is too large"));
    }
    Ok(())
}

/// The object as the request wants it, which may say so of its scale alone.
fn wanted(cluster: &Cluster, call: &Call, want: &Want, old: Option<&Value>) -> Result<Value> {
    let Some(scale) = call.version().scale.as_ref().filter(|_| call.part == Part::Scale) else {
        return changed(cluster, call, want, old);
    };
    let old = old.ok_or_else(|| ApiError::not_found(&call.resource, call.name()))?;
    if matches!(want, Want::Changed(Patch::Apply(_))) {
        return Err(ApiError::not_implemented("a scale can't be applied here; patch or replace it"));
    }
    let changed = changed(cluster, call, want, Some(&scale::show(scale, old)))?;
    scale::scaled(call, scale, old, &changed)
}

/// What is shown of an object as the request wants it.
fn changed(cluster: &Cluster, call: &Call, want: &Want, old: Option<&Value>) -> Result<Value> {
    match (want, old) {
        (Want::Made(object) | Want::Replaced(object), _) => Ok(object.clone()),
        (Want::Changed(Patch::Apply(applied)), None) if call.part == Part::Whole => {
            // Of what is there already an apply needs not say it.
            decode::check_name(call, applied)?;
            fields::apply(call, None, applied, &cluster.now())
        }
        (Want::Changed(change), Some(old)) => patch::changed(cluster, call, old, change),
        (Want::Changed(_), None) => Err(ApiError::not_found(&call.resource, call.name())),
    }
}

/// A replacement makes what is absent for some kinds only, an apply for all, and neither a status alone.
fn check_may_make(call: &Call, want: &Want) -> Result<()> {
    match want {
        Want::Replaced(_) if !call.resource.habits.create_on_update || call.part == Part::Status => {
            Err(ApiError::not_found(&call.resource, call.name()))
        }
        _ => Ok(()),
    }
}

fn refuse_version(want: &Want, object: &Value) -> Result<()> {
    match want {
        Want::Made(_) if !meta::text(object, "resourceVersion").is_empty() => {
            Err(ApiError::unforeseen("resourceVersion should not be set on objects to be created"))
        }
        _ => Ok(()),
    }
}

/// Where a new object is to be.
#[derive(Clone, Copy)]
enum Place {
    Open,
    /// There is no such namespace.
    Absent,
    /// The namespace is on its way out.
    Ending,
    /// The definition of the type is.
    Undefined,
}

impl Place {
    fn of(state: &State, call: &Call) -> Self {
        if garbage::is_going(state, &call.resource.id) {
            return Self::Undefined;
        }
        let Some(namespace) = call.namespace.as_deref().filter(|_| call.resource.namespaced) else {
            return Self::Open;
        };
        match state.store.get(&Key::new(&Arc::from(garbage::NAMESPACES), namespace)) {
            None => Self::Absent,
            Some(found) if found.meta().deleting => Self::Ending,
            Some(_) => Self::Open,
        }
    }

    /// Objects are made only where everything is there to stay.
    fn refuse(self, call: &Call, name: &str) -> Result<()> {
        let namespace = call.namespace.as_deref().unwrap_or_default();
        match self {
            Self::Open => Ok(()),
            Self::Absent => Err(ApiError::no_namespace(namespace)),
            Self::Ending => Err(ApiError::terminating(&call.resource, name, namespace)),
            Self::Undefined => Err(ApiError::not_supported("create", &call.resource)),
        }
    }
}

fn check_preconditions(call: &Call, want: &Want, object: &Value, old: &Value) -> Result<()> {
    let (sent, there) = (meta::text(object, "uid"), meta::text(old, "uid"));
    if !sent.is_empty() && sent != there && matches!(want, Want::Changed(_)) {
        let error = FieldError::invalid("metadata.uid", &sent.into(), "field is immutable");
        // kube-apiserver looks twice, and says so.
        return Err(ApiError::invalid(&call.resource, call.name(), &[error.clone(), error]));
    }
    if !sent.is_empty() && sent != there {
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition \
             failed: UID in precondition: {sent}, UID in object meta: {there}",
            call.key().path
        );
        return Err(ApiError::conflict(&call.resource, call.name(), &why));
    }
    let sent = meta::text(object, "resourceVersion");
    if sent.is_empty() && matches!(want, Want::Replaced(_)) && !call.resource.habits.unconditional_update {
        let detail = "must be specified for an update";
        let error = FieldError::invalid("metadata.resourceVersion", &0.into(), detail);
        let (plural, group) = (&call.resource.plural, &call.resource.group);
        return Err(ApiError::invalid_as(plural, group, call.name(), &[error]));
    }
    if !sent.is_empty() && sent != meta::text(old, "resourceVersion") {
        return Err(ApiError::modified(&call.resource, call.name()));
    }
    Ok(())
}

/// Keeps what was planned, if what it is based on is still there; `None` if it is not.
fn keep(cluster: &Cluster, call: &Call, seen: &Seen, plan: Plan) -> Result<Option<Reply>> {
    let Plan { key, content, object, warnings, generated } = plan;
    let reply = |body| {
        let code = if seen.current.is_some() { 200 } else { 201 };
        Ok(Some(Reply { code, body: Body::Object(body), warnings }))
    };
    let Some(content) = content.filter(|_| !call.params.dry_run) else {
        if seen.current.is_none() && !generated && cluster.read(|state| state.store.get(&key).is_some()) {
            return Err(ApiError::already_exists(&call.resource, key.name()));
        }
        return reply(call.render_parsed(&object));
    };
    let committed = cluster.write(|state| -> Result<_> {
        let current = state.store.get(&key);
        let revision = |object: Option<&Arc<Object>>| object.map(|object| object.revision);
        if revision(current) != revision(seen.current.as_ref()) {
            return match seen.current {
                None if !generated && call.name.is_none() => {
                    Err(ApiError::already_exists(&call.resource, key.name()))
                }
                _ => Ok(None),
            };
        }
        if state.types.by_id(&call.resource.id).is_none() {
            return Err(ApiError::no_such_path());
        }
        if seen.current.is_none() {
            Place::of(state, call).refuse(call, key.name())?;
        }
        Ok(Some(commit::put(state, &key, content)))
    })?;
    match committed {
        None => Ok(None),
        Some(Committed::Kept(object)) => reply(call.render(&object)),
        // Its last state was nobody's to see: it has the version that it had before.
        Some(Committed::Gone) => reply(call.render_parsed(&object)),
    }
}
