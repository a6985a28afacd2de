"""The words by which signatures are read, in the languages that are known. Tables only; compared without accents and capitals,
as `person_names.fold` writes them, except the legal forms."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# How a mail ends, by language; phrases are set apart by bars or lines.
_SIGN_OFFS = {
    "en": """
best regards|kind regards|warm regards|regards|with best regards|with kind regards|best wishes|with best wishes|kindest regards
warmest regards|many thanks|thanks and regards|thanks & regards|thank you|thanks|thx|cheers|sincerely|yours sincerely|sincerely yours
yours faithfully|yours truly|very truly yours|respectfully|respectfully yours|all the best|best|warmly|cordially|talk soon|speak soon
take care|have a great day|have a good day|thanks again|thanks in advance|many thanks and best regards|rgds|brgds|br|kr|with thanks
thank you and best regards|thanks so much|thank you very much|very best|all best|nga mihi|le meas|slainte
    """,
    "de": """
mit freundlichen grussen|mit freundlichem gruss|freundliche grusse|freundlicher gruss|viele grusse|beste grusse|liebe grusse
mit besten grussen|herzliche grusse|schone grusse|sonnige grusse|gruss|grusse|mfg|vg|lg|bg|mit freundlichen grussen aus
hochachtungsvoll|mit bestem gruss|besten gruss|vielen dank und freundliche grusse|danke und gruss|vielen dank und viele grusse|gruezi
besten dank und freundliche grusse|herzlichst|beste gruesse|mit freundlichen gruessen|freundliche gruesse|viele gruesse|liebe gruesse
mit herzlichen grussen|einen schonen tag noch|danke|vielen dank|gruessle
    """,
    "fr": """
cordialement|bien cordialement|tres cordialement|cdlt|cdt|bien a vous|bien a toi|salutations|sinceres salutations
meilleures salutations|amicalement|bonne journee|bonne reception|sincerement|respectueusement|salutations distinguees|belle journee
bonne soiree|merci|a bientot|veuillez agreer|meilleurs sentiments|merci d'avance|avec mes meilleures salutations|bien amicalement
merci et bonne journee
    """,
    "es": """
un saludo|saludos|saludos cordiales|un cordial saludo|atentamente|cordialmente|atte|reciba un cordial saludo|un abrazo|gracias
muchas gracias|muy atentamente|quedo atento|quedo atenta|le saluda atentamente|gracias y saludos|abrazos|saludos y gracias
saludos atentos
    """,
    "it": """
cordiali saluti|distinti saluti|saluti|un saluto|cari saluti|un cordiale saluto|grazie|buona giornata|in fede|a presto
con i migliori saluti|grazie mille
    """,
    "nl": """
met vriendelijke groet|met vriendelijke groeten|vriendelijke groet|vriendelijke groeten|groet|groeten|mvg|hartelijke groet
met hartelijke groet|hartelijke groeten|alvast bedankt|bedankt|gr|dank en groet|beste groet|beste groeten
    """,
    "pt": """
atenciosamente|att|cumprimentos|com os melhores cumprimentos|melhores cumprimentos|cordialmente|obrigado|obrigada|abracos|um abraco
grato|grata|sds|saudacoes|com os meus melhores cumprimentos|abs|cumps|muito obrigado|muito obrigada
    """,
    "sv da no": """
med vanliga halsningar|med vanlig halsning|vanliga halsningar|vanligen|halsningar|basta halsningar|mvh|hsn|tack|med venlig hilsen
venlig hilsen|de bedste hilsner|mange hilsner|bedste hilsner|hilsen|med vennlig hilsen|vennlig hilsen|hilsner|mange tak|beste hilsen
tusen takk|tak|takk|vh|hej da|med venlige hilsner|med de bedste hilsner|allt gott
    """,
    "fi": """
ystavallisin terveisin|terveisin|parhain terveisin|yst terv|terv|ystavallisesti|kiitos|kiittaen
    """,
    "pl": """
pozdrawiam|z powazaniem|z wyrazami szacunku|pozdrawiam serdecznie|serdecznie pozdrawiam|pozdrowienia|lacze pozdrowienia|dziekuje
dziekuje i pozdrawiam
    """,
    "cs sk": """
s pozdravem|s pratelskym pozdravem|s uctou|hezky den|zdravim|dekuji|dekuji a preji hezky den|pekny den|s pozdravom|preji hezky den
diky
    """,
    "ja": """
よろしくお願いいたします|よろしくお願いします|よろしくお願い致します|宜しくお願いいたします|宜しくお願い致します|以上|敬具|どうぞよろしくお願いいたします|何卒よろしくお願いいたします|以上、よろしくお願いいたします|以上よろしくお願いいたします
    """,
}  # fmt: skip
SIGN_OFFS: dict[str, frozenset[str]] = {}  # phrase -> the languages that end a mail with it
for _languages, _phrases in _SIGN_OFFS.items():
    for _phrase in _phrases.strip().replace("\n", "|").split("|"):
        SIGN_OFFS[_phrase] = SIGN_OFFS.get(_phrase, frozenset()) | set(_languages.split())
# Where a language is written: a national phone number in such a mail is one of these countries, if it is the site's own.
REGIONS = {
    "de": "DE AT CH LI LU", "fr": "FR BE CH LU CA MC", "es": "ES MX AR CO CL PE UY EC VE CR PA", "it": "IT CH SM", "nl": "NL BE",
    "pt": "PT BR", "sv": "SE FI", "da": "DK", "no": "NO", "fi": "FI", "pl": "PL", "cs": "CZ", "sk": "SK", "ja": "JP", "hu": "HU",
}  # fmt: skip

TITLES = _words("""
manager director officer president vp svp evp avp ceo cto cfo coo cmo cio ciso cro cpo chro dpo chief head lead leader engineer
developer architect consultant analyst specialist executive assistant coordinator administrator representative partner founder cofounder
owner principal associate advisor adviser accountant bookkeeper buyer planner scientist researcher designer editor writer journalist
stylist lawyer attorney solicitor counsel paralegal secretary receptionist technician supervisor superintendent foreman trainer teacher
lecturer professor nurse physician surgeon therapist pharmacist broker agent realtor banker underwriter auditor controller comptroller
treasurer strategist recruiter negotiator producer photographer chairman chairwoman chairperson chair trustee clerk operator electrician
surveyor estimator intern trainee apprentice curator librarian translator interpreter dean evangelist programmer copywriter merchandiser
scheduler dispatcher leitung prokura vorstand vorsitzende vorsitzender inhaber inhaberin gesellschafter prokurist prokuristin assistenz
geschaftsfuhrung teamlead directeur directrice responsable charge chargee gerant gerante presidente ingenieur ingenieure assistante
commercial commerciale conseiller conseillere consultante comptable avocat avocate associe associee chef cheffe technicien technicienne
acheteur acheteuse developpeur developpeuse adjoint adjointe secretaire juriste dg daf drh pdg dsi coordinateur coordinatrice redacteur
redactrice formateur formatrice attache attachee fondateur fondatrice architecte directora gerente jefe jefa coordinador coordinadora
ingeniero ingeniera asesor asesora abogado abogada comercial tecnico tecnica analista ejecutivo ejecutiva encargado encargada
administrador administradora contador contadora consultor consultora vendedor vendedora secretario secretaria socio socia asistente
especialista fundador fundadora direttore direttrice titolare amministratore amministratrice responsabile impiegato impiegata addetto
addetta consulente ingegnere avvocato commercialista architetto geometra segretario segretaria capo coordinatore hoofd medewerker
medewerkster adviseur accountmanager zaakvoerder eigenaar verkoper inkoper projectleider secretaresse teamleider jurist advocaat
bestuurder monteur directiesecretaresse diretor diretora coordenador coordenadora gestor gestora procurador procuradora engenheiro
engenheira advogado advogada encarregado encarregada supervisora socio-gerente vd direktor ingenjor saljare konsult ansvarig
projektledare handlaggare ekonom radgivare radgiver konsulent saelger selger leder sjef indehaver advokat daglig dyrektor kierownik
kierowniczka prezes wiceprezes specjalista specjalistka menedzer asystent asystentka koordynator koordynatorka inzynier handlowiec
doradca wlasciciel wlascicielka ksiegowy ksiegowa przedstawiciel przedstawicielka prokurent radca adwokat reditel reditelka jednatel
jednatelka manazer manazerka vedouci zastupce specialista specialistka asistent asistentka technik ucetni majitel majitelka konzultant
konzultantka koordinator koordinatorka namestek nakupci
""")  # fmt: skip
TITLE_ENDINGS = tuple(sorted(_words("""
leiter leiterin fuhrer fuhrerin ingenieur ingenieurin berater beraterin referent referentin assistent assistentin bearbeiter
bearbeiterin entwickler entwicklerin einkaufer einkauferin verkaufer verkauferin techniker technikerin meister meisterin meester anwalt
anwaltin architekt architektin koordinator koordinatorin sekretar sekretarin kaufmann kauffrau disponent disponentin spezialist
spezialistin beauftragter beauftragte buchhalter buchhalterin redakteur redakteurin manager managerin mitarbeiter mitarbeiterin leider
medewerker beheerder adviseur chef ledare ansvarig direktor direktorin ingenjor saljare konsult samordnare utvecklare sjef konsulent
radgiver leder ansvarlig johtaja paallikko insinoori asiantuntija suunnittelija koordinaattori sihteeri myyja
""")))  # fmt: skip
TITLES_EAST = re.compile(
    r"(?:代表取締役|取締役|執行役員|本部長|部長|課長|係長|次長|室長|社長|会長|主任|主査|支店長|店長|所長|工場長|担当|リーダー|マネージャー|エンジニア)"
)
# What a role may be for; "Director, Sales" keeps both, "Director, Quill Press" does not.
FUNCTIONS = _words("""
sales marketing management finance operations engineering development business corporate product customer success support communications
legal hr human resources it technology research procurement purchasing logistics strategy partnerships accounts quality supply chain design
europe emea apac americas uk us international global regional north south east west enterprise digital data security compliance risk
treasury tax public affairs relations programs projects services solutions learning talent people growth content media brand
""")  # fmt: skip

DEPARTMENT_FIRST = _words("""
department dept division abteilung bereich referat fachbereich dezernat service departement pole departamento area ufficio reparto
dipartimento afdeling setor avdelning avdelningen avdeling dzial departament wydzial oddeleni odbor
""")  # fmt: skip
DEPARTMENT_LAST = _words("department dept division directorate abteilung afdeling avdelning avdelningen avdelingen afdelingen osasto")
DEPARTMENT_EAST = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]{1,12}(?:部|課|室|局|事業部|グループ)")

# A company's legal form, written as companies write it; the end of a name, or (in the second group) its beginning.
_FORMS = (
    r"Ltd\.?|LTD\.?|Limited|LIMITED|Ltd|plc|PLC|Plc|LLP|LLC|L\.L\.C\.|Inc\.?|INC\.?|Incorporated|Corp\.?|CORP\.?|Corporation"
    r"|CORPORATION|Co\.|CO\.|Pty\.? Ltd\.?|PTY LTD|Pte\.? Ltd\.?|Co\.,? Ltd\.?|GmbH|gGmbH|mbH|GMBH|GmbH & Co\.? ?KG(?:aA)?"
    r"|AG & Co\.? ?KG|AG|KG|KGaA|OHG|UG(?: \(haftungsbeschränkt\))?|e\. ?K\.|e\. ?V\.|e\. ?G\.|eG|GbR|SE|Ges\.?m\.?b\.?H\.?|SARL"
    r"|S\.A\.R\.L\.|Sàrl|SAS|S\.A\.S\.|SASU|EURL|SNC|SA|S\.A\.|SCOP|SPRL|BVBA|bvba|SRL|ASBL|S\.L\.U?\.?|SLU?|S\.L\.L\.|S\.A\.U\."
    r"|S\.A\. de C\.V\.|SA de CV|S\. de R\.L\.(?: de C\.V\.)?|S\.r\.l\.s?|Srl|S\.R\.L\.|S\.p\.A\.|SpA|SPA|S\.n\.c\.|S\.a\.s\.|B\.V\."
    r"|BV|bv|N\.V\.|NV|nv|V\.O\.F\.|VOF|Lda\.?|LDA\.?|Ltda\.?|LTDA\.?|S/A|EIRELI|ME|AB|Aktiebolag|HB|A/S|AS|ApS|ASA|I/S|Oy|OY|Oyj"
    r"|Oy Ab|Sp\. ?z ?o\.? ?o\.?|sp\. ?z ?o\.? ?o\.?|Sp\. ?j\.|sp\. ?k\.|S\.K\.A\.|s\.r\.o\.|a\.s\.|spol\. s r\.o\.|v\.o\.s\.|K\.K\."
    r"|G\.K\.|KK|Kft\.?|Zrt\.?|d\.o\.o\.|AE|Sdn\.? Bhd\.?"
)
LEGAL_FORM = re.compile(rf"(?:(?<=[\s,])(?:{_FORMS})(?=$|[\s,;|)]))|株式会社|有限会社|合同会社|（株）|\(株\)")
ONLY_LEGAL_FORM = re.compile(rf"(?:{_FORMS})")
COMPANY_END = re.compile(rf"[^\s,].{{0,70}}?[\s,](?:{_FORMS})")
COMPANY_EAST = re.compile(r"(?:株式会社|有限会社|合同会社)\s?[\w・ー&\-.]{1,30}|[\w・ー&\-.]{1,30}(?:株式会社|有限会社|合同会社)")
# Behind these a company is another one: the mother, a client.
OTHER_COMPANY = re.compile(
    r"(?i)\b(part of|member of|a member|subsidiary|on behalf of|im auftrag|ein unternehmen|eine marke|unternehmen der|"
    r"partner of|une société|filiale|membre|società del|gruppo|onderdeel van|en del av|del av|powered by|copyright|©|a division|"
    r"division of|registered|representing|"
    r"agents? for|trading as|t/a|c/o)"
)

NO_NAME_WORDS = _words("""
team support service services group gruppe groupe grupo gruppo department abteilung office praxis kanzlei desk sales info company firma
newsletter digest noreply notifications alerts hotel restaurant verein club association university universitat universite school schule
college institut institute bank insurance versicherung hospital klinik clinic agency agentur society foundation stiftung studio lab labs
solutions systems software technologies technology consulting partners holding holdings media design marketing events press books
calendar meeting meetings conference room account accounts billing security customer kundenservice helpdesk community academy shop store
sekretariat secretariat buchhaltung empfang reception rezeption rechnungswesen vertrieb einkauf verwaltung personal zentrale the your
ihr ihre our unser notre votre und and with from microsoft google zoom teams linkedin docusign dropbox jira github hilfe tel telefon
phone mobile mobil fax email mail web website www kind regards thanks gruss grusse sent iphone ipad android outlook street road avenue
strasse str rue via calle plaza platz germany deutschland france united kingdom states london berlin paris amsterdam madrid hello hi
dear hallo hej bonjour hola ciao please bitte board managing
""") | (TITLES - {"dean", "chef", "head", "clerk", "leder", "partner"})  # fmt: skip
