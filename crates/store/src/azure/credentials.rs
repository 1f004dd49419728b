//! The variables that Velero's Secret for Azure holds.

use std::collections::BTreeMap;

use crate::StoreError;

/// Lines of `NAME=value`. Has no `Debug`: values are never shown.
pub(super) struct Variables(BTreeMap<String, String>);

/// Who asks. Has no `Debug`: it is never shown.
pub(super) enum Identity {
    AccountKey(String),
    Application { tenant: String, client: String, secret: String },
}

/// One of Azure's separate clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cloud {
    Public,
    China,
    Government,
}

impl Cloud {
    /// Domain of the storage accounts.
    pub(super) const fn blobs(self) -> &'static str {
        match self {
            Self::Public => "blob.core.windows.net",
            Self::China => "blob.core.chinacloudapi.cn",
            Self::Government => "blob.core.usgovcloudapi.net",
        }
    }

    /// Who gives out tokens.
    pub(super) const fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::China => "https://login.chinacloudapi.cn",
            Self::Government => "https://login.microsoftonline.us",
        }
    }
}

/// Other ways to an identity; the plugin knows them.
const ELSEWHERE: [&str; 3] = ["AZURE_CLIENT_CERTIFICATE", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME"];

fn fault(why: String) -> StoreError {
    StoreError::settings("credential", why)
}

impl Variables {
    pub(super) fn parse(file: &str) -> Result<Self, StoreError> {
        let mut variables = BTreeMap::new();
        for (number, line) in file.lines().enumerate() {
            let line = line.trim();
            let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, value)) = line.split_once('=') else {
                return Err(fault(format!("line {} is not NAME=value; write it so", number + 1)));
            };
            variables.insert(name.trim().to_owned(), unquoted(value.trim()).to_owned());
        }
        Ok(Self(variables))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// As Velero's plugin chooses: a key by the name of its variable, else an application where AAD is to be used.
    /// Its third way asks Azure's management service for a key.
    pub(super) fn identity(&self, key_variable: Option<&str>, use_aad: bool) -> Result<Identity, StoreError> {
        if let Some(name) = key_variable {
            let key = self.get(name);
            return key.map(|key| Identity::AccountKey(key.to_owned())).ok_or_else(|| {
                fault(format!("has no `{name}`, which config.storageAccountKeyEnvVar names; add it"))
            });
        }
        if !use_aad {
            return Err(StoreError::settings(
                "config.useAAD",
                "is not \"true\", and fetching an account's key from Azure's management is not supported; set it, \
                 or name the key's variable in config.storageAccountKeyEnvVar",
            ));
        }
        if let Some(name) = ELSEWHERE.iter().find(|name| self.get(name).is_some()) {
            return Err(fault(format!("`{name}` is not supported; give AZURE_CLIENT_SECRET")));
        }
        let needed = |name: &str| {
            let value = self.get(name).map(str::to_owned);
            value.ok_or_else(|| {
                fault(format!("has no {name}; add it, an identity of this machine is never used"))
            })
        };
        Ok(Identity::Application {
            tenant: needed("AZURE_TENANT_ID")?,
            client: needed("AZURE_CLIENT_ID")?,
            secret: needed("AZURE_CLIENT_SECRET")?,
        })
    }

    /// By the names that Velero's plugin knows.
    pub(super) fn cloud(&self) -> Result<Cloud, StoreError> {
        let given = self.get("AZURE_CLOUD_NAME").unwrap_or_default();
        match given.to_ascii_uppercase().as_str() {
            "" | "AZURECLOUD" | "AZUREPUBLICCLOUD" => Ok(Cloud::Public),
            "AZURECHINACLOUD" => Ok(Cloud::China),
            "AZUREUSGOVERNMENT" | "AZUREUSGOVERNMENTCLOUD" => Ok(Cloud::Government),
            _ => Err(fault(format!(
                "AZURE_CLOUD_NAME `{given}` is not known; use AzurePublicCloud, AzureChinaCloud or \
                 AzureUSGovernmentCloud"
            ))),
        }
    }
}

fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# by hand\nexport AZURE_TENANT_ID=t\nAZURE_CLIENT_ID = 'c'\nAZURE_CLIENT_SECRET=\"se=c\"\n\
                        AZURE_CLOUD_NAME=AzureChinaCloud\nKEY=a2V5\n";

    fn variables(file: &str) -> Variables {
        let Ok(variables) = Variables::parse(file) else { panic!("refused: {file}") };
        variables
    }

    #[test]
    fn a_key_is_found_by_the_name_of_its_variable() {
        let Ok(Identity::AccountKey(key)) = variables(FILE).identity(Some("KEY"), true) else {
            panic!("no key")
        };
        assert_eq!(key, "a2V5");
    }

    #[test]
    fn an_application_is_used_where_aad_is() {
        let Ok(Identity::Application { tenant, client, secret }) = variables(FILE).identity(None, true)
        else {
            panic!("no application")
        };
        assert_eq!([tenant, client, secret], ["t", "c", "se=c"]);
    }

    #[test]
    fn a_cloud_decides_who_gives_out_tokens_and_where_accounts_are() {
        assert_eq!(variables(FILE).cloud().unwrap(), Cloud::China);
        assert_eq!(variables("").cloud().unwrap(), Cloud::Public);
        assert_eq!(variables("AZURE_CLOUD_NAME=azureUSgovernment").cloud().unwrap(), Cloud::Government);
        assert_eq!(
            variables("AZURE_CLOUD_NAME=Mars").cloud().unwrap_err().to_string(),
            "credential: AZURE_CLOUD_NAME `Mars` is not known; use AzurePublicCloud, AzureChinaCloud or \
             AzureUSGovernmentCloud"
        );
    }

    #[test]
    fn a_fault_is_named_and_no_value_shown() {
        let said = |file: &str, key, aad| match variables(file).identity(key, aad) {
            Ok(_) => panic!("accepted: {file}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            said(FILE, Some("OTHER"), false),
            "credential: has no `OTHER`, which config.storageAccountKeyEnvVar names; add it"
        );
        assert_eq!(
            said(FILE, None, false),
            "config.useAAD: is not \"true\", and fetching an account's key from Azure's management is not \
             supported; set it, or name the key's variable in config.storageAccountKeyEnvVar"
        );
        assert_eq!(
            said("AZURE_TENANT_ID=t\nAZURE_CLIENT_ID=c", None, true),
            "credential: has no AZURE_CLIENT_SECRET; add it, an identity of this machine is never used"
        );
        assert_eq!(
            said("AZURE_USERNAME=u", None, true),
            "credential: `AZURE_USERNAME` is not supported; give AZURE_CLIENT_SECRET"
        );
        let Err(error) = Variables::parse("A=1\nhunter22") else { panic!("accepted") };
        assert_eq!(error.to_string(), "credential: line 2 is not NAME=value; write it so");
    }
}
