/*
 * summary_form.h - what the writer and the reader of records agree on.
 */
#ifndef MAIL_SUMMARY_FORM_H
#define MAIL_SUMMARY_FORM_H

enum {
	SUMMARY_FLAG_HAS_SENT = 1,
	SUMMARY_FLAG_IS_REPLY = 2,
	SUMMARY_FLAG_TRUNCATED = 4,
	SUMMARY_FLAG_HAS_ATTACHMENT = 8
};

#endif
