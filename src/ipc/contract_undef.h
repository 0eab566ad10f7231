/* contract_undef.h - after each use of contract.def: its words are free. */
#undef U8
#undef U32
#undef U64
#undef I64
#undef TOKEN
#undef BODY
#undef GRANT
#undef BYTES
#undef BLOB
#undef FD
#undef RECORD
#undef END_RECORD
#undef CALL
#undef ANSWER
#undef END
#undef NOTE
#undef END_NOTE
