//! XDR (RFC 4506) codec with limits.
