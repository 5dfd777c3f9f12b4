// What postal-mime sees in a message: see README.md.
import readline from 'readline';
import { createRequire } from 'module';
import { pathToFileURL } from 'url';

const found = createRequire(process.cwd() + '/package.json').resolve('postal-mime');
const loaded = await import(pathToFileURL(found));
const PostalMime = loaded.default.default || loaded.default;

const word = octets => Buffer.from(octets || '').toString('base64');
const part = (type, names, content) => [word(type), names.filter(name => name).map(word).join(','), word(content)].join(':');

for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const parts = [];
    try {
        const mail = await PostalMime.parse(Buffer.from(line, 'base64'), { forceRfc822Attachments: false });
        parts.push(part('text/plain', [], mail.text));
        parts.push(part('text/html', [], mail.html));
        for (const attachment of mail.attachments) {
            const content = typeof attachment.content === 'string' ? attachment.content : Buffer.from(attachment.content);
            parts.push(part(attachment.mimeType, [attachment.filename], content));
        }
    } catch (error) {
        parts.push(part('error', [], String(error)));
    }
    process.stdout.write(parts.join(' ') + '\n');
}
