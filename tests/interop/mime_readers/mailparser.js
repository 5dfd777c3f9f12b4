// What nodemailer's mailparser sees in a message: see README.md.
'use strict';
const readline = require('readline');
const { simpleParser } = require('mailparser');

const word = octets => Buffer.from(octets || '').toString('base64');
const part = (type, names, content) =>
    [word(type), names.filter(name => name !== undefined && name !== null && name !== false).map(word).join(','), word(content)].join(':');

async function main() {
    for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
        const parts = [];
        const read = async (octets, depth) => {
            const mail = await simpleParser(octets, { skipImageLinks: true, skipTextToHtml: true, skipTextLinks: true });
            const type = mail.headers.get('content-type') || {};
            parts.push(part(type.value || '', [(type.params || {}).name], mail.text || ''));
            if (mail.html) {
                parts.push(part('text/html', [], mail.html));
            }
            for (const attachment of mail.attachments) {
                const kind = (attachment.headers && attachment.headers.get('content-type')) || {};
                parts.push(part(attachment.contentType, [attachment.filename, (kind.params || {}).name], attachment.content));
                if (attachment.contentType === 'message/rfc822' && depth < 5) {
                    await read(attachment.content, depth + 1);
                }
            }
        };
        try {
            await read(Buffer.from(line, 'base64'), 0);
        } catch (error) {
            parts.push(part('error', [], String(error)));
        }
        process.stdout.write(parts.join(' ') + '\n');
    }
}
main();
