// Messages as nodemailer writes them, each in a line, in base64: see README.md.
'use strict';
const MailComposer = require('nodemailer/lib/mail-composer');

const names = ['report.pdf', 'größe.pdf', 'отчёт за июль.docx', '見積書.xlsx', 'two words (1).pdf', 'a;b=c.txt',
    'x'.repeat(150) + '.pdf', 'the "last".txt', "it's 100%.txt", '😀.png'];

async function main() {
    for (const filename of names) {
        for (const contentDisposition of ['attachment', 'inline']) {
            const mail = new MailComposer({
                from: 'ann@example.com',
                to: 'bob@example.com',
                subject: filename,
                text: 'hello',
                html: '<p>hällo</p><img src="cid:a">',
                icalEvent: { method: 'REQUEST', content: 'BEGIN:VCALENDAR\nEND:VCALENDAR' },
                attachments: [
                    { filename, content: Buffer.alloc(300, 7), contentDisposition, cid: 'a' },
                    { filename: 'y.eml', contentType: 'message/rfc822', content: 'Subject: x\r\n\r\nhello' }
                ]
            });
            process.stdout.write((await mail.compile().build()).toString('base64') + '\n');
        }
    }
}
main();
