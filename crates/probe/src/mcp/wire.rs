//! The two handshakes of the protocol that a stranger can make.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde_json::json;

use crate::resource_server::ResourceServer;

/// One revision of the protocol.
pub(super) struct Wire {
    version: &'static str,
    method: &'static str,
    /// Whether header fields repeat what the body says.
    headers: bool,
}

/// In the order of trying: the stateless revision leaves no sessions behind.
pub(super) const WIRES: [Wire; 2] = [
    Wire {
        version: "2026-07-28",
        method: "server/discover",
        headers: true,
    },
    Wire {
        version: "2025-11-25",
        method: "initialize",
        headers: false,
    },
];

impl Wire {
    /// The target, asked for this handshake.
    pub(super) fn of(&self, server: &ResourceServer) -> ResourceServer {
        let mut server = server.clone();
        server.method = Method::POST;
        server.body = self.body();
        let mut fields = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        if self.headers {
            fields.push(("mcp-protocol-version", self.version));
            fields.push(("mcp-method", self.method));
        }
        for (name, value) in fields {
            let name = HeaderName::from_static(name);
            server.headers.retain(|(present, _)| *present != name);
            server.headers.push((name, HeaderValue::from_static(value)));
        }
        // Also a JSON-RPC error comes with status 200.
        server.canary.get_or_insert_with(|| "\"result\"".to_owned());
        server
    }

    fn body(&self) -> Bytes {
        let client = json!({"name": "keybound-probe", "version": env!("CARGO_PKG_VERSION")});
        let params = if self.headers {
            json!({"_meta": {
                "io.modelcontextprotocol/protocolVersion": self.version,
                "io.modelcontextprotocol/clientInfo": client,
                "io.modelcontextprotocol/clientCapabilities": {},
            }})
        } else {
            json!({"protocolVersion": self.version, "capabilities": {}, "clientInfo": client})
        };
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": self.method, "params": params});
        Bytes::from(request.to_string())
    }
}
