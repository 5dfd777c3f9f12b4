// Sends one message with nodemailer: node nodemailer.js '{"transport": {...}, "mail": {...}}'
'use strict';
const fs = require('fs');
const nodemailer = require('nodemailer');

const { transport, mail, ca } = JSON.parse(process.argv[2]);
transport.tls = { ca: fs.readFileSync(ca) };
nodemailer.createTransport(transport).sendMail(mail).then(
    info => console.log(info.response),
    error => {
        console.error(error.message);
        process.exitCode = 1;
    }
);
