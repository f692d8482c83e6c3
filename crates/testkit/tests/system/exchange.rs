//! Token exchange with the real parts: holder, issuer, gateway.

use std::sync::Arc;

use keybound_holder::{ClientAuthentication, Exchange, Holder, HolderConfig, Timeouts};
use keybound_proto::uri::HttpUrl;
use keybound_testkit::{Agent, World};

use crate::expect::served;

fn holder(world: &World, agent: &Agent) -> Holder {
    let config = HolderConfig {
        issuer: HttpUrl::parse(&world.issuer).unwrap(),
        client_id: agent.id.clone(),
        authentication: ClientAuthentication::PrivateKeyJwt(agent.client_key.clone()),
        proof_key: agent.proof_key.clone(),
        resource: None,
        scope: Some("approvals:read".to_owned()),
        timeouts: Timeouts::default(),
    };
    Holder::new(config, Arc::new(world.clock.clone())).unwrap()
}

#[tokio::test]
async fn a_holder_lends_its_token_and_the_gateway_takes_what_comes_of_it() {
    let world = World::start().await;
    let (mine, helper) = (world.agent.clone(), Agent::new("exempt"));
    let (me, other) = (holder(&world, &mine), holder(&world, &helper));
    let token = world.token().await;
    let own = Exchange {
        subject_token: &token,
        lent_by: None,
    };
    let narrowed = me.exchange(&own).await.unwrap();
    assert_eq!(narrowed.scope(), Some("approvals:read"));
    let thief = holder(&world, &Agent::new("thief"));
    let lent = me.lend(narrowed.expose(), thief.jkt()).await.unwrap();
    let exchange = Exchange {
        subject_token: narrowed.expose(),
        lent_by: Some(&lent),
    };
    other.exchange(&exchange).await.unwrap_err();
    let lent = me.lend(narrowed.expose(), other.jkt()).await.unwrap();
    let exchange = Exchange {
        subject_token: narrowed.expose(),
        lent_by: Some(&lent),
    };
    let exchanged = other.exchange(&exchange).await.unwrap();
    assert_eq!(exchanged.jkt(), other.jkt());
    let proof = world.proof_of(&helper, "GET", "/approvals");
    let proof = proof.ath(exchanged.expose()).sign(&helper.proof_key);
    served(
        "lent",
        &world.get("/approvals", exchanged.expose(), &[&proof]).await,
    );
}
