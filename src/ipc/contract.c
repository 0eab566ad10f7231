/*
 * contract.c - the names of the contract's values.
 */
#include "ipc/contract.h"
#include "base/secret.h"

const char *
role_name(enum role_bit role)
{
	switch (role) {
	case SUPERVISOR: return "supervisor";
	case MX: return "mx";
	case ACCESS: return "access";
	case STORE: return "store";
	case RELAY: return "relay";
	case RESOLVER: return "resolver";
	case FILTER: return "filter";
	case SIGNER: return "signer";
	case CLI: return "cli";
	case METRICS: return "metrics";
	case INDEX: return "index";
	default: return "?";
	}
}

const char *
protocol_name(enum protocol protocol)
{
	static const char *const names[] = {
		[PROTOCOL_SMTP] = "smtp",
		[PROTOCOL_SUBMISSION] = "submission",
		[PROTOCOL_SUBMISSIONS] = "submissions",
		[PROTOCOL_IMAP] = "imap",
		[PROTOCOL_IMAPS] = "imaps",
		[PROTOCOL_POP3] = "pop3",
		[PROTOCOL_POP3S] = "pop3s",
		[PROTOCOL_METRICS] = "metrics",
		[PROTOCOL_ADMIN] = "admin",
		[PROTOCOL_LMTP] = "lmtp",
		[PROTOCOL_ADMIN_DNS] = "admin_dns",
	};

	_Static_assert(ARRAY_LEN(names) == PROTOCOLS, "a name for each");
	return (size_t)protocol < ARRAY_LEN(names) ? names[protocol] : "?";
}

const char *
result_name(enum result result)
{
	static const char *const names[] = {
		[RESULT_OK] = "ok",
		[RESULT_CONTINUE] = "continue",
		[RESULT_NOT_FOUND] = "not found",
		[RESULT_EXISTS] = "exists",
		[RESULT_DENIED] = "denied",
		[RESULT_NOT_LOCAL] = "not local",
		[RESULT_INVALID] = "invalid",
		[RESULT_LIMIT] = "over a limit",
		[RESULT_LOCKED] = "locked",
		[RESULT_CONFLICT] = "conflict",
		[RESULT_FULL] = "disk full",
		[RESULT_TEMPORARY] = "temporary failure",
		[RESULT_DAMAGED] = "damaged",
		[RESULT_FORBIDDEN] = "forbidden",
		[RESULT_OVERQUOTA] = "over quota",
	};

	_Static_assert(ARRAY_LEN(names) == RESULTS, "a name for each");
	return (size_t)result < ARRAY_LEN(names) ? names[result] : "?";
}

struct token
token_new(void)
{
	struct token t;

	random_bytes(t.b, sizeof(t.b));
	return t;
}

void
token_name(const struct token *token, char out[TOKEN_NAME_CHARS + 1])
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	uint32_t bits = 0;
	unsigned held = 0;
	size_t at = 0;

	for (size_t i = 0; i < TOKEN_NAMED; i++) {
		bits = bits << 8 | token->b[i];
		for (held += 8; held >= 5; held -= 5)
			out[at++] = digits[bits >> (held - 5) & 31];
	}
	must(at == TOKEN_NAME_CHARS && held == 0);
	out[at] = '\0';
}
