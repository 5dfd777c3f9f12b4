# What Email::MIME sees in a message: see README.md.
use strict;
use warnings;
use Email::MIME;
use MIME::Base64;

$| = 1;
local $SIG{__WARN__} = sub { };

sub word { my $text = shift // ''; utf8::encode($text) if utf8::is_utf8($text); return encode_base64($text, ''); }

sub walk {
    my ($part, $out, $depth) = @_;
    my $type = $part->content_type // 'text/plain';
    my $name = eval { $part->filename };
    my $body = eval { $part->body };
    my ($kind) = $type =~ /^\s*([^;\s]*)/;
    push @$out, join(':', word($kind), defined $name ? word($name) : '', word($body));
    my @inner = $part->subparts;
    walk($_, $out, $depth + 1) for @inner;
    walk(Email::MIME->new($body), $out, $depth + 1)
        if !@inner && $depth < 6 && $kind =~ m{^message/rfc822$}i && defined $body;
}

while (my $line = <STDIN>) {
    my @out;
    eval { walk(Email::MIME->new(decode_base64($line)), \@out, 0) };
    print join(' ', @out), "\n";
}
