//! What a request is refused with: the codes, reasons and details of kube-apiserver.

use serde_json::{Map, Value, json};

use crate::registry::Resource;

/// A request that is not done, as the `Status` that its client gets.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) code: u16,
    reason: &'static str,
    message: String,
    /// Absent where kube-apiserver has none, which is not the same as empty.
    details: Option<Map<String, Value>>,
    /// The token by which a list can go on nevertheless.
    resume: Option<String>,
}

pub(crate) type Result<T, E = ApiError> = std::result::Result<T, E>;

/// Why a field is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Invalid,
    Required,
    Forbidden,
    Duplicate,
    NotSupported,
    TooLong,
    TooMany,
    TypeInvalid,
}

impl Why {
    fn reason(self) -> &'static str {
        match self {
            Self::Invalid => "FieldValueInvalid",
            Self::Required => "FieldValueRequired",
            Self::Forbidden => "FieldValueForbidden",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::Required => "Required value",
            Self::Forbidden => "Forbidden",
            Self::Duplicate => "Duplicate value",
            Self::NotSupported => "Unsupported value",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
        }
    }
}

/// One field that is not as it must be.
#[derive(Clone, Debug)]
pub(crate) struct FieldError {
    pub(crate) field: String,
    why: Why,
    text: String,
}

impl FieldError {
    /// `detail` may be empty.
    pub(crate) fn new(why: Why, field: impl Into<String>, value: &Value, detail: &str) -> Self {
        let mut text = why.title().to_owned();
        match why {
            Why::Required | Why::Forbidden | Why::TooLong | Why::TooMany => {}
            _ => {
                text.push_str(": ");
                text.push_str(&value.to_string());
            }
        }
        if !detail.is_empty() {
            text.push_str(": ");
            text.push_str(detail);
        }
        Self { field: field.into(), why, text }
    }

    /// The same refusal of a value that stands elsewhere.
    #[must_use]
    pub(crate) fn below(mut self, path: &str) -> Self {
        self.field = if self.field.is_empty() { path.to_owned() } else { format!("{path}.{}", self.field) };
        self
    }

    /// Of a value that is shown in this form.
    pub(crate) fn shown(field: impl Into<String>, value: &str, detail: &str) -> Self {
        Self {
            field: field.into(),
            why: Why::Invalid,
            text: format!("{}: {value}: {detail}", Why::Invalid.title()),
        }
    }

    /// Of a value that is too large to be shown.
    pub(crate) fn unshown(why: Why, field: impl Into<String>, detail: &str) -> Self {
        Self { field: field.into(), why, text: format!("{}: {detail}", why.title()) }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new(Why::Invalid, field, value, detail)
    }

    /// Whether the value is so far from the schema that its rules can't be asked.
    pub(crate) fn hides_rules(&self) -> bool {
        matches!(self.why, Why::Required | Why::TypeInvalid | Why::NotSupported | Why::TooLong | Why::TooMany)
    }

    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new(Why::Required, field, &Value::Null, detail)
    }
}

/// Refusals in one text, each once.
fn list(errors: &[FieldError]) -> String {
    let mut texts: Vec<String> = errors.iter().map(|e| format!("{}: {}", e.field, e.text)).collect();
    texts.dedup();
    match texts.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

impl ApiError {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, resume: None }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.detail("name", name).detail("group", &resource.group).detail("kind", &resource.plural);
        self
    }

    fn detail(&mut self, key: &str, value: &str) -> &mut Self {
        if !value.is_empty() {
            self.details.get_or_insert_default().insert(key.to_owned(), value.into());
        }
        self
    }

    fn cause(mut self, reason: &str, message: &str, field: Option<&str>) -> Self {
        let mut cause = json!({"reason": reason, "message": message});
        if let Some(field) = field {
            cause["field"] = field.into();
        }
        match self.details.get_or_insert_default().entry("causes").or_insert_with(|| json!([])) {
            Value::Array(causes) => causes.push(cause),
            other => *other = json!([cause]),
        }
        self
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.id)).about(resource, name)
    }

    /// A request without the cluster's token.
    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// The namespace that something was to be made in is not there.
    pub(crate) fn no_namespace(name: &str) -> Self {
        let mut error = Self::new(404, "NotFound", format!("namespaces {name:?} not found"));
        error.detail("name", name).detail("kind", "namespaces");
        error
    }

    /// What the type does not do at the moment.
    pub(crate) fn not_supported(verb: &str, resource: &Resource) -> Self {
        let why = format!("{verb} is not supported on resources of kind \"{}\"", resource.id);
        let mut error = Self::new(405, "MethodNotAllowed", why);
        error.detail("group", &resource.group).detail("kind", &resource.plural);
        error
    }

    /// No such path.
    pub(crate) fn no_such_path() -> Self {
        let message = "the server could not find the requested resource";
        Self { details: Some(Map::new()), ..Self::new(404, "NotFound", message) }
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.id))
            .about(resource, name)
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.id);
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// The object is not the one that a deletion was meant for.
    pub(crate) fn precondition(resource: &Resource, name: &str, why: &str) -> Self {
        let kind = resource.qualified_kind();
        let mut error =
            Self::new(409, "Conflict", format!("Operation cannot be fulfilled on {kind} \"{name}\": {why}"));
        error.detail("name", name).detail("group", &resource.group).detail("kind", &resource.kind);
        error
    }

    /// Somebody has written the object since it was read.
    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(crate) fn apply_conflict(message: String, causes: &[(String, String)]) -> Self {
        let error = Self::new(409, "Conflict", message);
        causes
            .iter()
            .fold(error, |error, (message, field)| error.cause("FieldManagerConflict", message, Some(field)))
    }

    pub(crate) fn invalid(resource: &Resource, name: &str, errors: &[FieldError]) -> Self {
        Self::invalid_as(&resource.kind, &resource.group, name, errors)
    }

    /// As [`ApiError::invalid`], of an object that says that it is of this kind.
    pub(crate) fn invalid_as(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut error =
            Self::new(422, "Invalid", format!("{qualified} \"{name}\" is invalid: {}", list(errors)));
        error.detail("name", name).detail("group", group).detail("kind", kind);
        errors.iter().fold(error, |error, e| error.cause(e.why.reason(), &e.text, Some(&e.field)))
    }

    /// An option of the request, not a field of an object.
    pub(crate) fn bad_options(kind: &str, error: &FieldError) -> Self {
        Self::all_bad_options(kind, std::slice::from_ref(error))
    }

    /// As [`ApiError::bad_options`], of several.
    pub(crate) fn all_bad_options(kind: &str, errors: &[FieldError]) -> Self {
        let mut refused =
            Self::new(422, "Invalid", format!("{kind}.meta.k8s.io \"\" is invalid: {}", list(errors)));
        refused.detail("group", "meta.k8s.io").detail("kind", kind);
        errors.iter().fold(refused, |refused, e| refused.cause(e.why.reason(), &e.text, Some(&e.field)))
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.id);
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// The namespace is on its way out.
    pub(crate) fn terminating(resource: &Resource, name: &str, namespace: &str) -> Self {
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = format!("namespace {namespace} is being terminated");
        Self::forbidden(resource, name, &why).cause(
            "NamespaceTerminating",
            &cause,
            Some("metadata.namespace"),
        )
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self { details: Some(Map::new()), ..Self::new(405, "MethodNotAllowed", message) }
    }

    pub(crate) fn not_acceptable(offered: &str) -> Self {
        let message = format!("406: Not Acceptable\n\nAvailable representations: {offered}");
        Self { details: Some(Map::new()), ..Self::new(406, "NotAcceptable", message) }
    }

    pub(crate) fn unsupported_media_type(sent: &str, accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        tracing::debug!(sent, "a body of an unknown type");
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// A form that kube-apiserver takes, but this server not, or not for this kind.
    pub(crate) fn unread_media_type(sent: &str) -> Self {
        let message = format!("a body in {sent} is not read here for this kind; send it as application/json");
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit}"))
    }

    /// A JSON patch that does not fit the object.
    pub(crate) fn unprocessable() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self { details: Some(Map::new()), ..Self::new(422, "Invalid", message) }
    }

    /// A media type that no patch has.
    pub(crate) fn not_a_patch() -> Self {
        let message = "415: Unsupported Media Type";
        Self { details: Some(Map::new()), ..Self::new(415, "UnsupportedMediaType", message) }
    }

    /// What kube-apiserver did not foresee that anybody sends, as it has it.
    pub(crate) fn unforeseen(why: impl Into<String>) -> Self {
        Self::new(500, "", why)
    }

    pub(crate) fn too_many_operations(why: String) -> Self {
        Self::new(413, "RequestEntityTooLarge", why)
    }

    /// A resource version or continue token that the window has passed.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A page whose state the window has passed, and the token of a page of the state as it is now.
    pub(crate) fn expired_page(token: String) -> Self {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start a new \
                       list without the continue parameter, or use the continue token in this response to retrieve the \
                       remainder of the results. Continuing with the provided token results in an inconsistent list - \
                       objects that were created, modified, or deleted between the time the first chunk was returned \
                       and now may show up in the list.";
        Self { resume: Some(token), ..Self::new(410, "Expired", message) }
    }

    /// A resource version that is not there yet.
    pub(crate) fn too_new(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut error = Self::new(504, "Timeout", message);
        error.details.get_or_insert_default().insert("retryAfterSeconds".to_owned(), 1.into());
        error.cause("ResourceVersionTooLarge", "Too large resource version", None)
    }

    /// What this server does not do.
    pub(crate) fn not_implemented(what: impl Into<String>) -> Self {
        Self::new(501, "NotImplemented", what)
    }

    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        });
        if let Some(token) = &self.resume {
            status["metadata"]["continue"] = (**token).into();
        }
        if let Some(details) = &self.details {
            status["details"] = Value::Object(details.clone());
        }
        if self.reason.is_empty()
            && let Value::Object(fields) = &mut status
        {
            fields.remove("reason");
        }
        status
    }
}
