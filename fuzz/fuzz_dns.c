/*
 * fuzz_dns.c - answers of the DNS and the data in them. Two bytes first: what
 * it is, and the type that was asked for.
 */
#include "verify/dns_message.h"
#include "verify/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
check_name(struct span name)
{
	must(name.n <= 253);
	must(!span_ends(name, SPAN(".")));
	for (size_t i = 0; i < name.n; i++)
		must(ascii_is_print(name.p[i]) && name.p[i] != ' ' &&
		    ascii_lower(name.p[i]) == name.p[i]);
}

/* Each kind of data, whatever was asked for. */
static void
check_data(struct arena *a, struct span data)
{
	struct dns_mx mx;
	struct dns_tlsa tlsa;
	struct span text, name, rest;

	if (dns_read_name(data, a, &name, &rest) == 1) {
		check_name(name);
		must(name.n + 2 + rest.n <= data.n + (name.n == 0));
	}
	if (dns_read_mx(data, a, &mx) == 1)
		check_name(mx.host);
	if (dns_read_tlsa(data, &tlsa) == 1)
		must(tlsa.data.n > 0 && tlsa.data.n + 3 == data.n);
	if (dns_read_txt(data, a, &text) == 1)
		must(text.n < data.n);
}

static void
check_message(struct arena *a, struct span packet, uint32_t type)
{
	struct dns_message m;

	if (dns_message_read(packet, type, a, &m) != 1)
		return;
	check_name(m.canonical);
	must(m.rcode < 16 && m.count * 11 <= packet.n);
	for (size_t i = 0; i < m.count; i++) {
		must(m.answers[i].n <= 65535);
		check_data(a, m.answers[i]);
	}
}

static void
check_address(struct span in)
{
	struct text t = TEXT_INIT(100);
	struct ip_address x, y;

	if (ip_parse(in, &x) == 1) {
		ip_write(&x, &t);
		must(ip_parse(text_span(&t), &y) == 1);
		must(x.family == y.family && memcmp(x.b, y.b, 16) == 0);
	}
	text_free(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena *a = arena_new(64 << 20);
	struct span in;

	if (n >= 2) {
		in = span_of(data + 2, n - 2);
		if (data[0] == 'm')
			check_message(a, in, data[1]);
		else if (data[0] == 'd')
			check_data(a, in);
		else
			check_address(in);
	}
	arena_free(&a);
	return 0;
}
