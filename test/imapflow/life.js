// What a program built on imapflow does with a mailbox, step by step. What it
// found is printed as JSON for the test that started it.
"use strict";
const { ImapFlow } = require("imapflow");
const [port, user, pass] = process.argv.slice(2);

async function main() {
    const found = {};
    const client = new ImapFlow({
        host: "127.0.0.1", port: Number(port), secure: true, logger: false,
        qresync: true, tls: { rejectUnauthorized: false },
        auth: { user, pass }
    });
    const events = [];
    client.on("exists", (e) => events.push(["exists", e.count]));
    client.on("expunge", (e) => events.push(["expunge", e.uid || e.seq]));
    client.on("flags", (e) => events.push(["flags", [...e.flags]]));
    await client.connect();
    found.compressed = Boolean(client._inflate || client.capabilities.has("COMPRESS=DEFLATE"));
    found.enabled = [...client.enabled];
    found.folders = (await client.list({ statusQuery: { messages: true, unseen: true } }))
        .map((f) => [f.path, f.specialUse || "", f.status && f.status.messages]);
    await client.mailboxCreate("Projects/2026");
    const lock = await client.getMailboxLock("INBOX");
    try {
        found.exists = client.mailbox.exists;
        found.messages = [];
        for await (const m of client.fetch("1:*", {
            uid: true, flags: true, envelope: true, bodyStructure: true,
            internalDate: true, size: true, threadId: true,
            headers: ["message-id"]
        }))
            found.messages.push([m.uid, m.envelope.subject, m.bodyStructure.type,
                Boolean(m.emailId), m.size]);
        const first = await client.fetchOne("1", { source: true });
        found.source = first.source.toString().length;
        const { content } = await client.download("2", undefined, { uid: false });
        let bytes = 0;
        for await (const piece of content)
            bytes += piece.length;
        found.downloaded = bytes;
        found.search = await client.search({ subject: "number 3" }, { uid: true });
        await client.messageFlagsAdd("1", ["\\Seen", "$Label1"]);
        const added = await client.append("INBOX",
            Buffer.from("Subject: by imapflow\r\nFrom: <x@example.test>\r\n\r\nhello\r\n"), ["\\Seen"]);
        found.appended = Boolean(added.uid);
        const moved = await client.messageMove("2", "Projects/2026");
        found.moved = moved.uidMap ? moved.uidMap.size : 0;
        await client.messageCopy("1", "Archive");
        await client.messageDelete("3");
        await client.noop();
        // Its own count does not follow VANISHED.
        found.left = (await client.status("INBOX", { messages: true })).messages;
        found.status = await client.status("Projects/2026", { messages: true, uidNext: true });
    } finally {
        lock.release();
    }
    await client.logout();
    found.events = events;
    console.log(JSON.stringify(found, (k, v) => typeof v === "bigint" ? Number(v) : v));
}

main().catch((e) => {
    console.error(e.stack, e.responseText || "");
    process.exit(1);
});
