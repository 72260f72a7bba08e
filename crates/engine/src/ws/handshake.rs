//! Opening handshake.                                                                                   [RFC 6455 §4]
