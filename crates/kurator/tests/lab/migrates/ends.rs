//! Migrates that are over: what stays, what goes, and that nothing begins again.

use super::*;

#[test]
fn k06_a_migrate_that_kurator_finished_is_not_run_again() -> Outcome {
    on_stage(async |stage| {
        let tenant = scene(stage, "mg-k06").await?;
        let mut migrate: Migrate = object("m", of_namespace(&tenant, json!({})))?;
        // Before the hub can act, it is as Kurator left it: both stages over, and no times.
        migrate.metadata.annotations = Some([("test".to_owned(), "kurator".to_owned())].into());
        let policy = json!({"sourceCluster": {"fleet": "later"}});
        let mut waiting = json_of(&migrate)["spec"].take();
        waiting["sourceCluster"] = policy["sourceCluster"].clone();
        tenant.create::<Migrate>("m", waiting).await?;
        let migrates = tenant.all::<Migrate>();
        migrates.until_phase("m", "Pending").await?;
        let row =
            |i: usize| json!({"clusterKind": "AttachedCluster", "clusterName": member_name(&tenant, i)});
        let status =
            json!({"phase": "Completed", "sourceClusterStatus": row(1), "targetClusterStatus": [row(2)]});
        migrates.merge_status("m", status).await?;
        migrates.merge("m", json!({"spec": {"sourceCluster": one("mg-k06", "mg-k06-m1")}})).await?;

        tenant.create::<Migrate>("later", of_namespace(&tenant, json!({}))).await?;
        migrates.until_phase("later", "Completed").await?;
        let now = json_of(&migrates.get("m").await?);
        assert_eq!(now["status"]["phase"], "Completed");
        let children =
            in_member::<velero::Backup>(stage.lab.member(1))?.list("kurator.dev/migrate-name=m").await?;
        let of_this = children.iter().filter(|child| {
            child.annotations().get(names::OWNER_ANNOTATION).is_some_and(|owner| owner == "Migrate mg-k06/m")
        });
        assert_eq!(of_this.count(), 0);
        Ok(())
    })
}

#[test]
fn a_started_migrate_with_a_lost_child_is_not_made_again() -> Outcome {
    on_stage(async |stage| {
        let tenant = scene(stage, "mg-gone").await?;
        tenant.create::<Migrate>("m", of_namespace(&tenant, json!({}))).await?;
        let migrates = tenant.all::<Migrate>();
        let done = migrates.until_phase("m", "Completed").await?;
        let restores = in_member::<velero::Restore>(stage.lab.member(2))?;
        let restore = row(&done, 0)["restoreNameInCluster"].as_str().context("no name")?.to_owned();
        restores.delete(&restore).await?;
        restores.until_gone(&restore).await?;
        tenant
            .create::<Migrate>(
                "later",
                of_namespace(&tenant, json!({"namespaceMapping": {"mg-gone": "mg-gone-2"}})),
            )
            .await?;
        migrates.until_phase("later", "Completed").await?;
        assert_eq!(migrates.get("m").await?.status, done.status);
        assert!(
            restores
                .api()
                .get_opt(&restore)
                .await
                .map_err(|error| FixtureError::Kube {
                    action: "read",
                    object: restore.clone(),
                    source: Box::new(error)
                })?
                .is_none()
        );
        Ok(())
    })
}

#[test]
fn n06_a_migrate_that_deletes_takes_the_backup_of_the_source_with_its_data() -> Outcome {
    on_stage(async |stage| {
        let tenant = scene(stage, "mg-delete").await?;
        tenant.create::<Migrate>("m", of_namespace(&tenant, json!({"deletionPolicy": "Delete"}))).await?;
        let migrates = tenant.all::<Migrate>();
        let migrate = migrates.until_phase("m", "Completed").await?;
        let of_source = json_of(&migrate)["status"]["sourceClusterStatus"].take();
        let backup = of_source["backupNameInCluster"].as_str().context("no name")?;
        let prefix = of_source["stored"]["prefix"].as_str().context("no prefix")?;
        let stored = format!("{prefix}/backups/{backup}/");
        assert!(!stage.lab.s3().list(&stored).await?.is_empty());
        migrates.delete("m").await?;
        migrates.until_gone("m").await?;
        assert!(in_member::<velero::Backup>(stage.lab.member(1))?.api().get_opt(backup).await?.is_none());
        assert!(stage.lab.s3().list(&stored).await?.is_empty());
        assert_eq!(tea(stage.lab.member(2), "mg-delete").await?, "3", "what was migrated stays");
        Ok(())
    })
}
