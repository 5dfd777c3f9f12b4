# What MIME-tools sees in a message: see README.md.
use strict;
use warnings;
use MIME::Base64;
use MIME::Parser;

$| = 1;
local $SIG{__WARN__} = sub { };

sub word { my $text = shift // ''; utf8::encode($text) if utf8::is_utf8($text); return encode_base64($text, ''); }

sub walk {
    my ($entity, $out) = @_;
    my $head = $entity->head;
    my %seen;
    my @names = grep { defined && !$seen{$_}++ }
        ($head->recommended_filename, $head->mime_attr('content-disposition.filename'), $head->mime_attr('content-type.name'));
    my $body = $entity->bodyhandle;
    push @$out, join(':', word($entity->mime_type), join(',', map { word($_) } @names), word($body ? $body->as_string : ''));
    walk($_, $out) for $entity->parts;
}

while (my $line = <STDIN>) {
    my $parser = MIME::Parser->new;
    $parser->output_to_core(1);
    $parser->tmp_to_core(1);
    $parser->extract_nested_messages(1);
    $parser->extract_uuencode(1);
    my @out;
    my $entity = eval { $parser->parse_data(decode_base64($line)) };
    walk($entity, \@out) if $entity;
    print join(' ', @out), "\n";
}
