#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let mut out = vec![0; hex.len() / 2];
    crate::tls::key_log::from_hex(hex.as_bytes(), &mut out).unwrap();
    out
}

/// RFC 8448 3, "derive write traffic keys for handshake data" of the server.
#[test]
fn traffic_keys_are_those_of_rfc_8448() {
    let suite = Suite {
        cipher: Cipher::Aes128Gcm,
        hash: Hash::Sha256,
    };
    let secret = bytes("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
    let keys = traffic_keys(suite, &secret).unwrap();
    assert_eq!(keys.key.as_ref(), bytes("3fce516009c21727d0f2e4e86ee403bc"));
    assert_eq!(keys.iv.as_ref(), bytes("5d313eb2671276ee13000b30"));
    assert!(traffic_keys(suite, secret.get(1..).unwrap()).is_none());
}

/// The vector that implementers of RFC 5246 5 pass around.
#[test]
fn the_prf_is_that_of_tls12() {
    let secret = bytes("9bbe436ba940f017b17652849a71db35");
    let seed = bytes("a0ba9f936cda311827a6f796ffd5198c");
    let mut out = [0; 100];
    expand::<Hmac<Sha256>>(&secret, &[b"test label", &seed], &mut out).unwrap();
    let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af\
                    0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff701\
                    87347b66";
    assert_eq!(out.as_slice(), bytes(expected));
}
