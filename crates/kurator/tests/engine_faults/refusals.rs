//! Secrets as large as they can be, and objects that an admission policy refuses.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use kurator_testkit::{fixtures::BOUND, wait::until};
use serde_json::json;

use super::{Outcome, Stage, contents, fill, on_stage, unpacked};
use crate::scene::{PREFIX, of};

/// What must never be seen outside of the Secret, and its base64.
const PASSWORD: &str = "correct-horse-battery-staple";
const IN_BASE64: &str = "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5LXN0YXBsZ";
/// The most that the values of a Secret may hold, in bytes.
const LARGEST: usize = 1 << 20;

async fn secret(stage: &Stage, namespace: &str, name: &str, size: usize) -> Outcome {
    let mut value = PASSWORD.repeat(size.div_ceil(PASSWORD.len()));
    value.truncate(size);
    let whole = json!({"metadata": {"name": name}, "stringData": {"password": value}});
    let secret: Secret = serde_json::from_value(whole)?;
    Api::namespaced(stage.member().client()?, namespace).create(&PostParams::default(), &secret).await?;
    Ok(())
}

/// Looks for the password in the logs and results of everything, and in what the engine itself wrote.
async fn no_value_is_seen(stage: &Stage) -> Outcome {
    let mut texts = vec![std::fs::read_to_string(&stage.log)?];
    for key in stage.lab.s3().list(PREFIX).await? {
        if key.ends_with("-logs.gz") || key.ends_with("-results.gz") {
            texts.push(unpacked(&stage.lab.s3().get(&key).await?.unwrap_or_default())?);
        }
    }
    assert!(texts.len() > 3, "logs and results are to be looked at");
    assert!(!texts.iter().any(|text| text.contains(PASSWORD) || text.contains(IN_BASE64)));
    Ok(())
}

#[test]
fn the_largest_secret_comes_back_whole_and_is_seen_nowhere() -> Outcome {
    on_stage(async |stage| {
        fill(stage.member(), "large", 1, 10).await?;
        secret(stage, "large", "largest", LARGEST).await?;
        stage.goes_round("large", "large").await?;
        let of = async |namespace: &str| -> anyhow::Result<_> {
            Ok(Api::<Secret>::namespaced(stage.member().client()?, namespace).get("largest").await?.data)
        };
        assert!(of("large-copy").await? == of("large").await?, "it came back changed");
        no_value_is_seen(stage).await
    })
}

#[test]
fn what_a_policy_refuses_fails_in_its_words_and_the_rest_goes_on() -> Outcome {
    on_stage(async |stage| {
        let (member, copy, name) = (stage.member(), "guarded-copy", "no-passwords");
        fill(member, "guarded", 3, 10).await?;
        secret(stage, "guarded", "refused", 100).await?;
        stage.back_up("guarded", of("guarded"), "Completed").await?;
        let words = "passwords belong into the vault";
        let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
            "metadata": {"name": name}, "spec": {
                "matchConstraints": {"resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]},
                ]},
                "validations": [{"expression": "object.metadata.name != 'refused'", "message": words}],
            },
        }))?;
        let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
            "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]},
        }))?;
        let client = member.client()?;
        let policies = Api::<ValidatingAdmissionPolicy>::all(client.clone());
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
        policies.create(&PostParams::default(), &policy).await?;
        bindings.create(&PostParams::default(), &binding).await?;
        let probe: Secret = serde_json::from_value(json!({"metadata": {"name": "refused"}}))?;
        let secrets = Api::<Secret>::namespaced(client, "default");
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let enforced = until("the policy", BOUND, async || match secrets.create(&dry, &probe).await {
            Err(kube::Error::Api(status)) if status.message.contains(words) => Ok(Some(())),
            other => Err(format!("{other:?}")),
        });
        enforced.await?;
        let spec = json!({"backupName": "guarded", "namespaceMapping": {"guarded": copy}});
        let restored = stage.restore("guarded", spec, "PartiallyFailed").await;
        bindings.delete(name, &DeleteParams::default()).await?;
        policies.delete(name, &DeleteParams::default()).await?;
        let status = restored?;
        let errors = &status["results"]["errors"]["namespaces"][copy];
        assert_eq!(errors.as_array().map(Vec::len), Some(1), "{status}");
        let error = errors[0].as_str().unwrap_or_default();
        assert!(error.contains(words) && error.contains("secrets/guarded-copy/refused"), "{error}");
        assert_eq!(contents(member, copy).await?, contents(member, "guarded").await?);
        no_value_is_seen(stage).await
    })
}
