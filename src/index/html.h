/*
 * html.h - the words of HTML as people see them. Pure.
 *
 * Neither tags nor comments, neither style nor script; entities are their
 * characters. It is for finding words, not for showing them: linear in its
 * input, whatever that is.
 */
#ifndef INDEX_HTML_H
#define INDEX_HTML_H

#include "base/text.h"

void html_words(struct span utf8, struct text *out);

#endif
