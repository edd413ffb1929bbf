// Package ldap is a module of the catalog plugin that ingests the users and groups of an organisation from an LDAP server, such as Active
// Directory, FreeIPA or OpenLDAP. It is @backstage/plugin-catalog-backend-module-ldap. It is a Go module of its own: only who imports it
// gets its dependencies.
//
//	backend.Main(catalog.Plugin(), ldap.Module())
//
// # Configuration
//
// The keys are Backstage's. There may be several providers, each with an id of its own.
//
//	catalog:
//	  providers:
//	    ldapOrg:
//	      default:
//	        target: ldaps://ds.example.net
//	        bind:                                # without it: anonymous
//	          dn: uid=portal,ou=robots,dc=example,dc=net
//	          secret: ${LDAP_SECRET}
//	        tls:
//	          rejectUnauthorized: false          # take any certificate of the server
//	          certs: ./portal.crt                # the portal's own certificate
//	          keys: ./portal.key
//	        schedule: { frequency: PT1H, timeout: PT15M }
//	        users:                               # one, or a list
//	          - dn: ou=people,dc=example,dc=net
//	            options:
//	              scope: one                     # base, one, sub
//	              filter: (uid=*)
//	              attributes: ['*', '+']
//	              paged: { pageSize: 500 }       # or true; Active Directory answers 1,000 entries at most without it
//	              sizeLimit: 0
//	              timeLimit: 0
//	              derefAliases: 0                # 0 never, 1 in searching, 2 in finding the base, 3 always
//	            map: { name: uid, displayName: cn, email: mail, memberOf: memberOf, rdn: uid, picture: …, description: … }
//	            set: { metadata.namespace: people }
//	        groups:
//	          - dn: ou=groups,dc=example,dc=net
//	            map: { name: cn, type: groupType, members: member, memberOf: memberOf, … }
//	        vendor: { dnAttributeName: dn, uuidAttributeName: entryUUID }
//
// The names of the attributes that hold the distinguished name and the unique id of an entry depend on the server: Active Directory,
// FreeIPA, AE-DIR, Google and LLDAP are recognized, others treated as OpenLDAP. The names of attributes are matched without regard to case.
//
// # Relations
//
// Members and parents are looked up by distinguished name, relative distinguished name, unique id or entity ref, without regard to case. A
// group that belongs to several others has the first of them by name as its parent.
//
// # Transformers
//
// A module can change what becomes of an entry, or leave it out, with [Transforms].
//
// # Differences from Backstage
//
// An entry without a name is left out, and logged; in Backstage it keeps all others from being ingested. If no entry at all has a name,
// nothing is changed. The processor ldap-org, which is deprecated, and its configuration are not there.
package ldap
