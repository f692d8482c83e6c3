//! Metadata of issuers and resources.

use keybound_holder::discovery::{authorization_server, protected_resource, protected_resource_at};
use keybound_holder::{HolderError, HttpClient, Timeouts};
use keybound_proto::uri::HttpUrl;

use crate::support::{Reply, Server, party};

fn client() -> HttpClient {
    HttpClient::new(Timeouts::default()).expect("a client")
}

/// A server with one document.
async fn with_document(path: &'static str, document: impl Fn(&str) -> String) -> Server {
    let server = Server::start(|_| Reply::new(404, "")).await;
    let document = document(&server.url);
    server.behave(move |seen| match seen.uri.path() == path {
        true => Reply::new(200, document.clone()),
        false => Reply::new(404, "<html>not here</html>"),
    });
    server
}

const RFC_8414: &str = "/.well-known/oauth-authorization-server";

#[tokio::test]
async fn sc_241_metadata_of_another_issuer_stops_the_client() {
    for said in [
        "https://evil.example".to_owned(),
        "URL/".to_owned(),
        "URL/x".to_owned(),
        "HTTP:URL".to_owned(),
        String::new(),
    ] {
        let server = with_document(RFC_8414, |url| {
            let said = match said.strip_prefix("HTTP:") {
                Some(_) => url.replace("http://", "HTTP://"),
                None => said.replace("URL", url),
            };
            format!(r#"{{"issuer":"{said}","token_endpoint":"{url}/token"}}"#)
        })
        .await;
        let error = authorization_server(&client(), &server.url(""))
            .await
            .expect_err(&said);
        assert!(
            matches!(error, HolderError::IssuerMismatch { .. }),
            "{error:?}"
        );
        let error = party(&server.url).holder.token().await.expect_err(&said);
        assert!(
            matches!(error, HolderError::IssuerMismatch { .. }),
            "{error:?}"
        );
        // It looked no further and sent nothing.
        assert_eq!(server.paths(), [RFC_8414, RFC_8414]);
    }
}

#[tokio::test]
async fn endpoints_that_leave_loopback_or_tls_are_refused() {
    for endpoint in [
        "http://evil.example/token",
        "https://evil.example/token",
        "http://127.0.0.1:1/t",
    ] {
        let server = with_document(RFC_8414, |url| {
            format!(r#"{{"issuer":"{url}","token_endpoint":"{endpoint}"}}"#)
        })
        .await;
        let error = authorization_server(&client(), &server.url(""))
            .await
            .expect_err(endpoint);
        assert!(
            matches!(error, HolderError::EndpointRefused { .. }),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn unusable_metadata_is_named() {
    for document in [
        r#"{"issuer":"URL"}"#,
        r#"{"issuer":1,"token_endpoint":"URL/token"}"#,
        r#"{"issuer":"URL","issuer":"URL","token_endpoint":"URL/token"}"#,
        r#"{"issuer":"URL","token_endpoint":"/token"}"#,
        r#"{"issuer":"URL","token_endpoint":"URL/token","dpop_signing_alg_values_supported":[1]}"#,
        r#"{"issuer":"URL","token_endpoint":"URL/token","jwks_uri":"x"}"#,
        "{",
    ] {
        let server = with_document(RFC_8414, |url| document.replace("URL", url)).await;
        let error = authorization_server(&client(), &server.url(""))
            .await
            .expect_err(document);
        assert!(
            matches!(error, HolderError::ResponseInvalid { .. }),
            "{document}: {error:?}"
        );
    }
}

#[tokio::test]
async fn missing_metadata_names_the_places_tried() {
    let server = Server::start(|_| Reply::new(404, "")).await;
    let error = authorization_server(&client(), &server.url("/t"))
        .await
        .expect_err("none");
    assert!(
        matches!(error, HolderError::MetadataMissing { .. }),
        "{error:?}"
    );
    let places = [
        "/.well-known/oauth-authorization-server/t",
        "/t/.well-known/openid-configuration",
    ];
    assert_eq!(server.paths(), places);
    for place in places {
        assert!(error.to_string().contains(place), "{error}");
    }
}

#[tokio::test]
async fn a_redirect_of_metadata_is_not_followed() {
    let other = Server::start(|_| Reply::new(200, "{}")).await;
    let target = other.url.clone();
    let server = Server::start(move |_| Reply::new(302, "").with("location", target.clone())).await;
    let error = authorization_server(&client(), &server.url(""))
        .await
        .expect_err("a redirect");
    assert!(matches!(error, HolderError::Redirected { .. }), "{error:?}");
    assert_eq!(other.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn oversized_metadata_is_refused() {
    let server = with_document(RFC_8414, |url| {
        format!(r#"{{"issuer":"{url}","x":"{}"}}"#, "x".repeat(512 * 1024))
    })
    .await;
    let error = authorization_server(&client(), &server.url(""))
        .await
        .expect_err("too large");
    assert!(
        matches!(error, HolderError::ResponseInvalid { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_key_of_an_algorithm_the_issuer_refuses_is_named() {
    let server = with_document(RFC_8414, |url| {
        format!(
            r#"{{"issuer":"{url}","token_endpoint":"{url}/token","dpop_signing_alg_values_supported":["EdDSA","PS256"]}}"#
        )
    })
    .await;
    let error = party(&server.url)
        .holder
        .token()
        .await
        .expect_err("ES256 is not taken");
    assert_eq!(
        error,
        HolderError::AlgorithmUnsupported {
            algorithm: "ES256",
            supported: "EdDSA PS256".to_owned(),
        }
    );
    assert_eq!(server.paths(), [RFC_8414]);
}

#[tokio::test]
async fn openid_metadata_is_the_second_choice() {
    let server = with_document("/t/.well-known/openid-configuration", |url| {
        format!(
            r#"{{"issuer":"{url}/t","token_endpoint":"{url}/t/token","registration_endpoint":"{url}/t/register","jwks_uri":"{url}/t/jwks","dpop_signing_alg_values_supported":["ES256"],"other":[1,{{}}]}}"#
        )
    })
    .await;
    let found = authorization_server(&client(), &server.url("/t"))
        .await
        .expect("metadata");
    assert_eq!(found.token_endpoint, server.url("/t/token"));
    assert_eq!(found.registration_endpoint, Some(server.url("/t/register")));
    assert_eq!(found.jwks_uri, Some(server.url("/t/jwks")));
    assert_eq!(found.introspection_endpoint, None);
    assert_eq!(
        found.dpop_signing_alg_values_supported,
        Some(vec!["ES256".to_owned()])
    );
}

const RFC_9728: &str = "/.well-known/oauth-protected-resource";

#[tokio::test]
async fn a_document_of_another_resource_is_refused() {
    for resource in ["https://evil.example/", "URL/other", "URL/api/x", "URL/ap"] {
        let document = |url: &str| format!(r#"{{"resource":"{}"}}"#, resource.replace("URL", url));
        for path in [RFC_9728, "/.well-known/oauth-protected-resource/api"] {
            let server = with_document(path, document).await;
            let url = server.url("/api");
            let error = protected_resource(&client(), &url)
                .await
                .expect_err(resource);
            assert!(
                matches!(error, HolderError::ResourceMismatch { .. }),
                "{error:?}"
            );
            let named = server.url(path);
            let error = protected_resource_at(&client(), &named, &url)
                .await
                .expect_err(resource);
            assert!(
                matches!(error, HolderError::ResourceMismatch { .. }),
                "{error:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_well_known_place_speaks_for_its_own_identifier_only() {
    let server = with_document("/.well-known/oauth-protected-resource/api", |url| {
        format!(r#"{{"resource":"{url}/"}}"#)
    })
    .await;
    let error = protected_resource(&client(), &server.url("/api"))
        .await
        .expect_err("the parent");
    assert!(
        matches!(error, HolderError::ResourceMismatch { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn metadata_on_another_origin_is_not_fetched() {
    let server = with_document("/m", |url| format!(r#"{{"resource":"{url}/"}}"#)).await;
    let other = Server::start(|_| Reply::new(404, "")).await;
    let error = protected_resource_at(&client(), &server.url("/m"), &other.url("/"))
        .await
        .expect_err("another origin");
    assert!(
        matches!(error, HolderError::ResourceMismatch { .. }),
        "{error:?}"
    );
    let clear = HttpUrl::parse("http://api.example/").expect("a URL");
    let error = protected_resource(&client(), &clear)
        .await
        .expect_err("clear text");
    assert!(
        matches!(error, HolderError::InsecureUrl { .. }),
        "{error:?}"
    );
    assert_eq!(server.paths(), Vec::<String>::new());
}

#[tokio::test]
async fn resources_are_found_at_their_path_and_at_the_root() {
    let document = |resource: String| {
        format!(
            r#"{{"resource":"{resource}","authorization_servers":["https://as.example"],"scopes_supported":["a"],"dpop_bound_access_tokens_required":true}}"#
        )
    };
    for (place, resource) in [
        ("/.well-known/oauth-protected-resource/api/v1", "/api/v1"),
        (RFC_9728, "/"),
        (RFC_9728, ""),
    ] {
        let server = with_document(place, |url| document(format!("{url}{resource}"))).await;
        let found = protected_resource(&client(), &server.url("/api/v1?q"))
            .await
            .expect(place);
        assert_eq!(found.resource, server.url(resource));
        assert_eq!(
            found.authorization_servers[0].as_str(),
            "https://as.example"
        );
        assert!(found.dpop_bound_access_tokens_required);
        let named = server.url(place);
        let again = protected_resource_at(&client(), &named, &server.url("/api/v1")).await;
        assert_eq!(again, Ok(found));
    }
}
