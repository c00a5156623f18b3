/** The words of the bench's organisation: real names where the list is short, compounds where it is long. */

export const givenNames = (
  'Jan Per Bjørn Ole Lars Kjell Knut Svein Thomas Arne Geir Hans Morten Tor Martin Andreas Erik Odd John Anders Terje Rune ' +
  'Trond Daniel Marius Tore Kristian Magnus Jon Henrik Stian Harald Helge Leif Gunnar Håkon Øyvind Jonas Christian Nils Rolf ' +
  'Alexander Espen Tom Emil Kåre Einar Stig Mathias Sindre Ivar Vidar Fredrik Eirik Roar Steinar Frode Øystein Jørgen Kenneth ' +
  'Anne Inger Kari Marit Ingrid Liv Eva Berit Astrid Bjørg Hilde Anna Solveig Marianne Randi Ida Nina Maria Elisabeth Kristin ' +
  'Bente Heidi Silje Gerd Linda Tone Tove Elin Anita Wenche Ragnhild Camilla Ellen Karin Hanne Ann Julie Mona Marie Aud Monica ' +
  'Else Kristine Laila Turid Stine Helene Åse Jorunn Sissel Mari Line Lene Mette Grethe Trine Unni Emma Grete Thea Malin Bodil ' +
  'Aslaug Nora Gunn Siri Eli Maren Oddny Synnøve Målfrid Gro Jenny Emilie Rita Sigrid Ruth Vibeke Karoline Sara Hege Irene Bodil ' +
  'Jürgen Wolfgang Günter Dieter Klaus Manfred Uwe Jörg Björn Ulrich Stefan Matthias Sabine Ursula Renate Monika Petra Käthe Gisela ' +
  'Heike Birgit Angelika Ute Brigitte Jean Pierre Michel André Philippe René Louis François Noël Benoît Céline Hélène Amélie Zoé Chloé ' +
  'Geneviève Anaïs Mohammed Ali Ahmed Fatima Aisha Omar Hassan Yasmin Leila Ibrahim Piotr Paweł Łukasz Małgorzata Agnieszka Zofia ' +
  'James Mary Robert Patricia William Jennifer David Linda Richard Susan Charles Karen Maria José Carlos Ana Luis Lucía Raúl Inés ' +
  'Anne-Marie Jan-Erik Per-Olav Ann-Kristin Hans-Peter Jean-Luc Marie-Claire Karl-Heinz Eva-Lotta Lars-Göran'
).split(' ');

const frequentSurnames = (
  'Hansen Johansen Olsen Larsen Andersen Pedersen Nilsen Kristiansen Jensen Karlsen Johnsen Pettersen Eriksen Berg Haugen Hagen ' +
  'Johannessen Andreassen Jacobsen Dahl Jørgensen Halvorsen Henriksen Lund Sørensen Jakobsen Moen Gundersen Iversen Strand Solberg ' +
  'Svendsen Eide Knutsen Martinsen Paulsen Bakken Kristoffersen Mathisen Lie Amundsen Nguyen Rasmussen Ali Lunde Solheim Berge Moe ' +
  'Nygård Bakke Kristensen Fredriksen Holm Lien Hauge Christensen Andresen Nielsen Knudsen Evensen Sæther Aas Myhre Hanssen Ahmed ' +
  'Haugland Thomassen Sivertsen Simonsen Danielsen Berntsen Sandvik Rønning Arnesen Antonsen Næss Vik Haug Ellingsen Edvardsen Thorsen ' +
  'Gulbrandsen Isaksen Birkeland Ruud Aasen Strøm Myklebust Tangen Ødegård Eliassen Helland Bøe Jenssen Aune Mikkelsen Tveit Brekke ' +
  "Abrahamsen Madsen Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Köhler Krüger König O'Brien " +
  "O'Connor Smith Jones Taylor Martin Bernard Dubois Lefèvre García Kowalski Nowak Wiśniewski"
).split(' ');
const heads = (
  'Ber Lund Sol Dal Haug Strand Øst Vest Nord Sør Sand Stein Skog Fjell Ek Bjørk Gran Furu Rogn Selje Lin Hval Torp Grøn Hvit Svart ' +
  'Rød Brei Lang Stor Lille Ny Gammel Høy Lav Mid Tveit Kvam Aur Vold Hegg Asp Alm Blom Ros Sjø Vann Elv Bekk Myr'
).split(' ');
const tails = (
  'berg heim vik stad ås dal land lund sen haug nes set gård moen bakken holm eng mark by vold li rud øy fjord gren ström qvist ' +
  'tveit bø hus mo sund bru voll'
).split(' ');

/** The frequent ones first, then some 1,500 compounds. */
export const surnames = [...frequentSurnames, ...heads.flatMap((head) => tails.map((tail) => head + tail))];

export const titles = (
  'Consultant|Senior Consultant|Project Manager|Engineer|Senior Engineer|Adviser|Senior Adviser|Executive Officer|Secretary|' +
  'Department Manager|Accountant|Controller|Software Developer|Systems Administrator|Nurse|Driver|Warehouse Worker|Sales Manager|' +
  'Account Manager|Salesperson|Customer Service Representative|Analyst|Business Analyst|Architect|Technician|Service Technician|' +
  'Electrician|Foreman|Purchaser|Purchasing Manager|Lawyer|Auditor|HR Adviser|HR Manager|Marketing Coordinator|Marketing Manager|' +
  'Designer|Product Manager|Product Owner|Scrum Master|Tester|Test Manager|Researcher|Research Scientist|Laboratory Assistant|' +
  'Trainee|Apprentice|Receptionist|Cook|Cleaner|Janitor|Security Guard|Logistics Coordinator|Planner|Quality Manager|' +
  'Safety Representative|Director|Vice President|Managing Director|Regional Manager|Trade Union Representative|Communications Adviser'
).split('|');

export const departments = (
  'Sales|Marketing|Finance|Accounting|Human Resources|Information Technology|Research|Development|Production|Logistics|Purchasing|' +
  'Customer Service|Legal|Quality|Maintenance|Facilities|Security|Communications|Strategy|Administration|Audit|Treasury|Training|' +
  'Engineering|Projects|Support|Operations|Planning|Transport|Warehouse North|Warehouse South|Laboratory|Health and Safety|' +
  'Public Affairs|Investor Relations|Export|Import|Retail|Wholesale|Field Service|Network|Data Centre|Applications|Architecture|' +
  'Testing|Design|Construction|Property|Fleet|Catering'
).split('|');

const placeHeads =
  'Oslo Bergen Trond Stav Tromsø Dram Fredrik Krist Sande Ålesund Tøns Mo Hamar Larv Hal Harst Lille Kongs Mo Gjø'.split(
    ' ',
  );
const placeTails = 'heim anger stad vik sund fjord hammer berg vær nes hagen bygd'.split(' ');

/** Some 200 towns. */
export const towns = placeHeads.flatMap((head) => [head, ...placeTails.map((tail) => head + tail)]);

const streetHeads = (
  'Kirke Stor Skole Jernbane Strand Industri Møller Bjørke Gran Furu Sol Fjell Dal Hav Nord Sør Øst Vest Park Konge Dronning Prins ' +
  'Torg Bryggeri Fabrikk Smed Fisker Havne Sjø Elve Bekke Myr Eng Skog Ås Haug Rosen Tulipan Lilje Eple'
).split(' ');
const streetTails = 'gata veien gaten alléen bakken svingen plassen torget kaia stien lia tunet'.split(' ');

/** Some 500 streets. */
export const streets = streetHeads.flatMap((head) => streetTails.map((tail) => head + tail));
