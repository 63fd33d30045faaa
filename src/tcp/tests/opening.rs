//! Openings, roles and the table.

use super::*;
use crate::tcp::{Opening, RolesFrom};

#[test]
fn a_refused_connection_leaves_soon() {
    let mut lab = Lab::new();
    lab.send(seg(UP, SYN, 0, 0)).send(seg(DOWN, RST, 0, 1));
    lab.wait(999 * MS);
    assert_eq!(lab.calls(), [""; 0]);
    lab.wait(MS);
    assert_eq!(lab.calls(), ["c1 closed unread"]);
    let c = lab.only();
    assert_eq!(c.opening, Opening::Refused);
    assert_eq!(c.roles_from, RolesFrom::Syn);
    assert_eq!((c.to_server.frames, c.to_client.frames), (1, 1));
}
