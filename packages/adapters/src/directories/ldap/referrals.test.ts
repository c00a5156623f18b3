import { expect, it } from 'vitest';
import { isBesideThePoint, parseReferral } from './referrals.ts';

it('a referral is read as RFC 4516 has it', () => {
  expect(parseReferral('ldap://ldap.example.org', true)).toEqual({
    server: { host: 'ldap.example.org', port: 389, tls: 'starttls' },
    dn: null,
    scope: null,
    filter: null,
  });
  expect(parseReferral('LDAPS://[::1]:1636/ou=a%20b,dc=x??one?(cn=%2a)', false)).toEqual({
    server: { host: '::1', port: 1636, tls: 'ldaps' },
    dn: 'ou=a b,dc=x',
    scope: 'one',
    filter: '(cn=*)',
  });
  expect(parseReferral('ldap://h/dc=x?cn,sn?sub', false)?.scope).toBe('sub');
});

it('a referral asks for TLS where the line that it came over has it', () => {
  expect(parseReferral('ldap://h/', true)?.server.tls).toBe('starttls');
  expect(parseReferral('ldap://h/', false)?.server.tls).toBe('none');
  expect(parseReferral('ldaps://h/', false)?.server.tls).toBe('ldaps');
});

it('what is no address, is not understood or names no host is no referral', () => {
  const wrong = [
    'http://h/',
    'ldap:///dc=x',
    'ldap://h:99999999/',
    'ldap://h/%zz',
    'ldap://h/dc=x????!e-bindname=cn=a',
    '',
  ];
  for (const url of wrong) expect(parseReferral(url, true), url).toBeNull();
  expect(parseReferral('ldap://h/dc=x????e-bindname=cn=a', true)?.dn).toBe('dc=x');
});

it('contexts of Active Directory without people are beside the point, other domains are not', () => {
  for (const dn of ['CN=Configuration,DC=a,DC=b', 'DC=DomainDnsZones,DC=a', 'dc=forestdnszones,dc=a']) {
    expect(isBesideThePoint([`ldaps://a.b/${dn}`]), dn).toBe(true);
  }
  expect(isBesideThePoint(['ldap://child.a.b/DC=child,DC=a,DC=b'])).toBe(false);
  expect(isBesideThePoint(['ldap://a.b/CN=Configuration,DC=a', 'ldap://a.b/DC=c'])).toBe(false);
  expect(isBesideThePoint([])).toBe(false);
});
