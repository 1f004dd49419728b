//! The shared credentials file of AWS, as Velero's Secret `cloud-credentials` holds it.

use crate::StoreError;

/// A long-lived or temporary key. Has no `Debug`: it is never shown.
#[derive(PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: String,
    pub(super) token: Option<String>,
}

/// Ways to a credential that lead over this machine or another service.
const ELSEWHERE: [&str; 7] = [
    "role_arn",
    "source_profile",
    "credential_source",
    "credential_process",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
];

impl Keys {
    /// What must never be shown.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        [Some(self.secret.as_str()), self.token.as_deref()].into_iter().flatten()
    }

    /// The keys under `[profile]`, also where the file is a config file with `[profile name]`.
    pub(super) fn parse(file: &str, profile: &str) -> Result<Self, StoreError> {
        let fault = |why: String| StoreError::settings("credential", why);
        let mut inside = false;
        let mut found = false;
        let (mut id, mut secret, mut token) = (None, None, None);
        for line in file.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') || line.starts_with(';') {
                continue;
            }
            if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                let section = section.trim();
                inside = section.strip_prefix("profile ").map_or(section, str::trim) == profile;
                found |= inside;
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| inside) else { continue };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            match key.as_str() {
                "aws_access_key_id" => id = Some(value.to_owned()),
                "aws_secret_access_key" => secret = Some(value.to_owned()),
                "aws_session_token" => token = Some(value.to_owned()),
                _ if ELSEWHERE.contains(&key.as_str()) => {
                    return Err(fault(format!(
                        "`{key}` in profile `{profile}` is not supported; give aws_access_key_id and \
                         aws_secret_access_key"
                    )));
                }
                // Region, output format and the like: a location says the region in its config.
                _ => {}
            }
        }
        if !found {
            return Err(fault(format!("has no profile `{profile}`; add `[{profile}]` with its keys")));
        }
        let needed = |name: &str, value: Option<String>| {
            value
                .filter(|value| !value.is_empty())
                .ok_or_else(|| fault(format!("profile `{profile}` has no {name}; add it")))
        };
        let keys = Self {
            id: needed("aws_access_key_id", id)?,
            secret: needed("aws_secret_access_key", secret)?,
            token: token.filter(|token| !token.is_empty()),
        };
        let parts = [Some(&keys.id), Some(&keys.secret), keys.token.as_ref()];
        if parts.into_iter().flatten().any(|part| !part.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(fault(format!(
                "profile `{profile}` holds a key with characters that no key has; write it as it was given"
            )));
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# of the team\n[default]\naws_access_key_id = id\naws_secret_access_key=se=cret\nregion = x\n\
                        \n[ other ]\r\nAWS_ACCESS_KEY_ID=id2\r\nAWS_SECRET_ACCESS_KEY=secret2\r\n\
                        aws_session_token=token2\r\n[profile third]\naws_access_key_id=id3\naws_secret_access_key=s3\n";

    fn parts(profile: &str) -> (String, String, Option<String>) {
        let Ok(keys) = Keys::parse(FILE, profile) else { panic!("no keys") };
        (keys.id, keys.secret, keys.token)
    }

    #[test]
    fn each_profile_has_its_keys() {
        assert_eq!(parts("default"), ("id".into(), "se=cret".into(), None));
        assert_eq!(parts("other"), ("id2".into(), "secret2".into(), Some("token2".into())));
        assert_eq!(parts("third"), ("id3".into(), "s3".into(), None));
    }

    #[test]
    fn a_fault_is_named_and_no_value_shown() {
        let whole = "aws_access_key_id=id\naws_secret_access_key=hunter22\n";
        for (file, said) in [
            (String::new(), "credential: has no profile `default`; add `[default]` with its keys"),
            (whole.to_owned(), "credential: has no profile `default`; add `[default]` with its keys"),
            (
                "[default]\naws_access_key_id=id\n".to_owned(),
                "credential: profile `default` has no aws_secret_access_key; add it",
            ),
            (
                "[default]\naws_access_key_id=\naws_secret_access_key=hunter22\n".to_owned(),
                "credential: profile `default` has no aws_access_key_id; add it",
            ),
            (
                format!("[default]\n{whole}credential_process=/bin/sh\n"),
                "credential: `credential_process` in profile `default` is not supported; give aws_access_key_id and \
                 aws_secret_access_key",
            ),
            (
                "[default]\naws_access_key_id=i d\naws_secret_access_key=hunter22\n".to_owned(),
                "credential: profile `default` holds a key with characters that no key has; write it as it was given",
            ),
        ] {
            let Err(error) = Keys::parse(&file, "default") else { panic!("accepted: {file}") };
            assert_eq!(error.to_string(), said);
        }
    }
}
