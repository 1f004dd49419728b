//! The lab's kube-apiserver answers as it was recorded to answer, or is recorded anew with `KURATOR_RECORD=1`.

use kurator_testkit::{
    Lab, LabSpec,
    conformance::{Outcome, all, differences, record, transcript},
};

#[test]
fn kube_apiserver_answers_as_it_was_recorded() -> Outcome {
    let lab = Lab::shared(LabSpec { members: 0, velero: false, s3: false })?;
    let recording = std::env::var_os("KURATOR_RECORD").is_some();
    lab.run(async {
        let client = lab.hub().client()?;
        let mut found = Vec::new();
        for case in all() {
            let got = transcript(&client, &case).await.map_err(|error| format!("{}: {error}", case.name))?;
            if recording {
                record(&case, &got)?;
            } else {
                found.extend(differences(&case, &got)?);
            }
        }
        assert!(found.is_empty(), "{} answers differ:\n{}", found.len(), found.join("\n"));
        Ok(())
    })
}
