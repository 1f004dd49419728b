//! The key of a Google service account, as Velero's Secret holds it.

use serde_json::{Map, Value, json};

use crate::StoreError;

/// What of the file is used. Has no `Debug`: it is never shown.
pub(super) struct ServiceAccount {
    key_id: String,
    key: String,
    email: String,
    universe: Option<String>,
}

/// The universe that every file of Google's own names.
const GOOGLE: &str = "googleapis.com";

impl ServiceAccount {
    pub(super) fn parse(file: &str) -> Result<Self, StoreError> {
        let fault = |why: String| StoreError::settings("credential", why);
        // What the parser says could quote the file.
        let fields: Map<String, Value> = serde_json::from_str(file)
            .map_err(|_| fault("is no JSON; give the service account's key file as it is".to_owned()))?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        match text("type") {
            Some("service_account") => {}
            Some(other @ ("authorized_user" | "external_account" | "impersonated_service_account")) => {
                return Err(fault(format!(
                    "type `{other}` is not supported; give the key of a service account"
                )));
            }
            _ => {
                return Err(fault(
                    "is no service account's key; give the file as it was downloaded".to_owned(),
                ));
            }
        }
        let needed = |name: &str| {
            text(name).map(str::to_owned).ok_or_else(|| {
                fault(format!("has no {name}; give the service account's key file as it was downloaded"))
            })
        };
        Ok(Self {
            key_id: needed("private_key_id")?,
            key: needed("private_key")?,
            email: needed("client_email")?,
            universe: text("universe_domain").filter(|domain| *domain != GOOGLE).map(str::to_owned),
        })
    }

    /// The file again, without anything that would lead elsewhere.
    pub(super) fn key(&self) -> String {
        json!({ "private_key_id": self.key_id, "private_key": self.key, "client_email": self.email })
            .to_string()
    }

    pub(super) fn universe(&self) -> Option<&str> {
        self.universe.as_deref()
    }

    /// What must never be shown: the key, line by line too.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        let lines = self.key.lines().filter(|line| !line.starts_with("-----"));
        std::iter::once(self.key.as_str()).chain(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read_and_nothing_in_it_leads_elsewhere() {
        let file = json!({
            "type": "service_account", "private_key_id": "1", "private_key": "pem", "client_email": "a@b",
            "gcs_base_url": "http://elsewhere", "disable_oauth": true, "token_uri": "http://elsewhere",
            "universe_domain": "googleapis.com",
        });
        let Ok(account) = ServiceAccount::parse(&file.to_string()) else { panic!("refused") };
        let passed_on: Value = serde_json::from_str(&account.key()).unwrap();
        let wanted = json!({ "private_key_id": "1", "private_key": "pem", "client_email": "a@b" });
        assert_eq!(passed_on, wanted);
        assert_eq!(account.universe(), None);
    }

    #[test]
    fn a_fault_is_named_and_no_value_shown() {
        for (file, said) in [
            ("hunter22", "credential: is no JSON; give the service account's key file as it is"),
            ("{}", "credential: is no service account's key; give the file as it was downloaded"),
            (
                r#"{"type": "external_account"}"#,
                "credential: type `external_account` is not supported; give the key of a service account",
            ),
            (
                r#"{"type": "service_account", "private_key_id": "1", "private_key": "hunter22"}"#,
                "credential: has no client_email; give the service account's key file as it was downloaded",
            ),
        ] {
            let Err(error) = ServiceAccount::parse(file) else { panic!("accepted: {file}") };
            assert_eq!(error.to_string(), said);
        }
    }
}
