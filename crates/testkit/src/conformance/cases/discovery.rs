//! What a server says of itself.

use crate::conformance::{Case, get};

pub(super) fn cases() -> Vec<Case> {
    vec![Case {
        name: "discovery-of-groups",
        steps: vec![
            get("/apis/apps"),
            get("/apis/coordination.k8s.io/v1"),
            get("/apis/rbac.authorization.k8s.io/v1"),
            get("/apis/absent.example.com"),
            get("/apis/apps/v9"),
            get("/api/v1/absent"),
            get("/nonsense"),
            get("/readyz"),
        ],
    }]
}
