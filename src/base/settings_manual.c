/*
 * settings_manual.c - writes postrider.conf(5) from the rows of settings.def.
 *
 *	settings_manual			the page, on standard output
 *	settings_manual FILE		0 when FILE is that page, else 1
 */
#include "base/routes.h"
#include "base/settings.h"

#include <stdio.h>
#include <stdlib.h>

static const char head[] =
    ".\\\" Made by settings_manual from src/base/settings.def and routes.def.\n"
    ".TH POSTRIDER.CONF 5 \"\" \"Postrider " POSTRIDER_VERSION "\"\n"
    ".SH NAME\n"
    "postrider.conf \\- the settings of Postrider\n"
    ".SH DESCRIPTION\n"
    ".B postrider run\n"
    "reads its settings from the file\n"
    ".I postrider.conf\n"
    "in the data directory, or from the one given with\n"
    ".BR \\-\\-config .\n"
    "Every setting has a default; an empty file is a working one.\n"
    ".PP\n"
    "A reload (SIGHUP, or\n"
    ".BR \"systemctl reload postrider\" )\n"
    "reads it again and hands it to every process without ending a session.\n"
    "A file with a mistake in it changes nothing: the log names the line.\n"
    "Where a setting takes effect at a restart only, it says so below; the\n"
    "sections\n"
    ".B listen\n"
    "and\n"
    ".B user\n"
    "do so as a whole.\n"
    ".SH FORMAT\n"
    ".nf\n"
    "hostname = mail.example.org     # a comment\n"
    "smtp {\n"
    "    max_size = 50M;\n"
    "    banner = \"ready; at your service\"\n"
    "}\n"
    "imap.idle_timeout = 1h\n"
    ".fi\n"
    ".PP\n"
    "A name inside a section and the name with the section before it, parted\n"
    "by a dot, are the same. A value ends at the end of its line, at a\n"
    "semicolon or a closing brace; between double quotes it may hold these\n"
    "(and \\e\" and \\e\\e). A comment goes from # to the end of the line, or\n"
    "stands between /* and */. No setting is given twice.\n"
    ".PP\n"
    "Sizes are bytes, or have the unit K, M, G or T (powers of 1024). Times\n"
    "have the unit ms, s, min, h or d.\n"
    ".SH SETTINGS\n"
    "Each is shown with its default.\n";

static const char tail[] =
    ".SH SEE ALSO\n"
    ".BR postrider (1)\n";

/* The whole of a file; a page of ours is smaller than the text's limit. */
static void
read_file(const char *path, struct text *out)
{
	FILE *f = fopen(path, "r");
	size_t n;
	char *p;

	if (f == NULL) {
		perror(path);
		exit(1);
	}
	while ((p = text_room(out, 4096)) != NULL &&
	    (n = fread(p, 1, 4096, f)) > 0)
		text_grew(out, n);
	fclose(f);
}

int
main(int argc, char **argv)
{
	struct text page = TEXT_INIT(1 << 20), have = TEXT_INIT(1 << 20);
	bool same;

	text_str(&page, head);
	settings_write_manual(&page);
	routes_write_manual(&page);
	text_str(&page, tail);
	if (argc < 2) {
		fwrite(page.p, 1, page.n, stdout);
		text_free(&page);
		return 0;
	}
	read_file(argv[1], &have);
	same = span_eq(text_span(&page), text_span(&have));
	if (!same)
		fprintf(stderr, "%s is not what settings.def says: "
		    "settings_manual > %s\n", argv[1], argv[1]);
	text_free(&page);
	text_free(&have);
	return same ? 0 : 1;
}
