"""The objects and fields of the played Salesforce: one word a field.

`name:type[:length[:flags[:label]]]`. A type with a capital is a reference to that object, with bars to any of several.
A star before it makes it a list of such references (JunctionIdList). Flags: `!` required, R read-only, C set at creation only,
L usable as a look-up key (idLookup), X external id, U unique, D has a default, N the name field, T neither filtered nor sorted,
P a restricted picklist. In a label `_` is a blank. What only some organisations have stands in FEATURES.
"""

from __future__ import annotations

AUDIT = """
Id:id::RD IsDeleted:boolean::RD:Deleted
"""
STAMPS = """
CreatedDate:datetime::RD CreatedById:User::RD LastModifiedDate:datetime::RD LastModifiedById:User::RD SystemModstamp:datetime::RD
"""
ACCOUNT = """
MasterRecordId:Account::R Name:string:255:!N:Account_Name Type:picklist:::Account_Type ParentId:Account:::Parent_Account_ID
BillingStreet:textarea:255 BillingCity:string:40 BillingState:string:80 BillingPostalCode:string:20 BillingCountry:string:80
BillingAddress:address::RT ShippingStreet:textarea:255 ShippingCity:string:40 ShippingState:string:80
ShippingPostalCode:string:20 ShippingCountry:string:80 ShippingAddress:address::RT Phone:phone:40::Account_Phone
Fax:phone:40::Account_Fax AccountNumber:string:40 Website:url:255 Industry:picklist AnnualRevenue:currency
NumberOfEmployees:int:::Employees Rating:picklist:::Account_Rating Description:textarea:32000:T:Account_Description
Site:string:80::Account_Site OwnerId:User::D LastActivityDate:date::R:Last_Activity Sync_Key__c:string:255:XUL
Tier__c:picklist::P
"""
# Of an account that is a person; what hangs on its contact is called Person… and, where a customer made it, …__pc.
PERSON_ACCOUNT = """
IsPersonAccount:boolean::RD:Is_Person_Account PersonContactId:Contact::R:Contact_ID LastName:string:80 FirstName:string:40
Salutation:picklist:40 PersonEmail:email:80:L:Email PersonTitle:string:80::Title PersonDepartment:string:80::Department
PersonMobilePhone:phone:40::Mobile PersonHomePhone:phone:40::Home_Phone PersonOtherPhone:phone:40::Other_Phone
PersonAssistantPhone:phone:40::Asst._Phone PersonAssistantName:string:40::Assistant PersonBirthdate:date:::Birthdate
PersonLeadSource:picklist:::Lead_Source PersonMailingStreet:textarea:255 PersonMailingCity:string:40
PersonMailingState:string:80 PersonMailingPostalCode:string:20 PersonMailingCountry:string:80 PersonMailingAddress:address::RT
PersonOtherStreet:textarea:255 PersonOtherCity:string:40 PersonOtherState:string:80 PersonOtherPostalCode:string:20
PersonOtherCountry:string:80 PersonOtherAddress:address::RT PersonHasOptedOutOfEmail:boolean::D:Email_Opt_Out
PersonDoNotCall:boolean::D:Do_Not_Call Email_2__pc:email Email_3__pc:email Web_Page__pc:url
"""
CONTACT = """
MasterRecordId:Contact::R AccountId:Account LastName:string:80:! FirstName:string:40 Salutation:picklist:40
MiddleName:string:40 Suffix:string:40 Name:string:121:RN:Full_Name
OtherStreet:textarea:255 OtherCity:string:40 OtherState:string:80 OtherPostalCode:string:20
OtherCountry:string:80 OtherAddress:address::RT MailingStreet:textarea:255 MailingCity:string:40 MailingState:string:80
MailingPostalCode:string:20 MailingCountry:string:80 MailingAddress:address::RT Phone:phone:40::Business_Phone
Fax:phone:40::Business_Fax MobilePhone:phone:40 HomePhone:phone:40 OtherPhone:phone:40
AssistantPhone:phone:40::Asst._Phone ReportsToId:Contact Email:email:80:L Title:string:128 Department:string:80
AssistantName:string:40::Assistant's_Name LeadSource:picklist Birthdate:date
Description:textarea:32000:T:Contact_Description OwnerId:User::D HasOptedOutOfEmail:boolean::D:Email_Opt_Out
HasOptedOutOfFax:boolean::D:Fax_Opt_Out DoNotCall:boolean::D LastActivityDate:date::R:Last_Activity
EmailBouncedReason:string:255 EmailBouncedDate:datetime IsEmailBounced:boolean::RD Jigsaw:string:20::Data.com_Key
Sync_Key__c:string:255:XUL Tier__c:picklist::P Interests__c:multipicklist:4099:PT
Email_2__c:email Email_3__c:email Web_Page__c:url IsPersonAccount:boolean::RD:Is_Person_Account
"""
LEAD = """
MasterRecordId:Lead::R LastName:string:80:! FirstName:string:40 Salutation:picklist:40 Name:string:121:RN:Full_Name
Title:string:128 Company:string:255:! Street:textarea:255 City:string:40 State:string:80::State/Province
PostalCode:string:20::Zip/Postal_Code Country:string:80 Address:address::RT Phone:phone:40 MobilePhone:phone:40 Fax:phone:40
Email:email:80:L Website:url:255 Description:textarea:32000:T LeadSource:picklist Status:picklist::!D Industry:picklist
Rating:picklist AnnualRevenue:currency NumberOfEmployees:int:::Employees OwnerId:Group|User::D
HasOptedOutOfEmail:boolean::D:Email_Opt_Out HasOptedOutOfFax:boolean::D:Fax_Opt_Out DoNotCall:boolean::D
IsConverted:boolean::RD:Converted ConvertedDate:date::R ConvertedAccountId:Account::R ConvertedContactId:Contact::R
ConvertedOpportunityId:Opportunity::R IsUnreadByOwner:boolean::D:Unread_By_Owner LastActivityDate:date::R:Last_Activity
EmailBouncedReason:string:255 EmailBouncedDate:datetime Jigsaw:string:20::Data.com_Key Sync_Key__c:string:255:XUL
Tier__c:picklist::P Interests__c:multipicklist:4099:PT Email_2__c:email Email_3__c:email
"""
OPPORTUNITY = """
AccountId:Account Name:string:120:!NL Description:textarea:32000:T StageName:picklist::!:Stage Amount:currency
Probability:percent::D:Probability_(%) CloseDate:date::! Type:picklist:::Opportunity_Type NextStep:string:255
LeadSource:picklist IsClosed:boolean::RD:Closed IsWon:boolean::RD:Won OwnerId:User::D ContactId:Contact::C
LastActivityDate:date::R:Last_Activity Sync_Key__c:string:255:XUL
"""
USER = """
Username:string:80:!UL LastName:string:80:! FirstName:string:40 Name:string:121:RN:Full_Name Title:string:80
Email:email:128:! Alias:string:8 IsActive:boolean::D:Active TimeZoneSidKey:picklist::D:Time_Zone
LocaleSidKey:picklist::D:Locale LanguageLocaleKey:picklist::D:Language UserType:picklist::RD
FederationIdentifier:string:512:U:SAML_Federation_ID
"""
TASK = """
WhoId:Contact|Lead:::Name_ID WhatId:Account|Opportunity:::Related_To_ID Subject:combobox:255
ActivityDate:date:::Due_Date_Only Status:picklist::!D Priority:picklist::!D OwnerId:Group|User::D:Assigned_To_ID
Description:textarea:32000:T:Description TaskSubtype:picklist:40:CD AccountId:Account::R IsClosed:boolean::RD:Closed
CompletedDateTime:datetime::R:Completed_Date CallType:picklist CallDurationInSeconds:int:::Call_Duration
IsArchived:boolean::RD:Archived IsHighPriority:boolean::RD:High_Priority IsReminderSet:boolean::D:Reminder_Set
ReminderDateTime:datetime:::Reminder_Date/Time IsRecurrence:boolean::RD:Create_Recurring_Series_of_Tasks Sync_Key__c:string:255:XUL
TaskWhoIds:*Contact|Lead::T WhoCount:int::R:Relation_Count WhatCount:int::R:Related_To_Count
"""
EVENT = """
WhoId:Contact|Lead:::Name_ID WhatId:Account|Opportunity:::Related_To_ID Subject:combobox:255 Location:string:255
IsAllDayEvent:boolean::D:All-Day_Event ActivityDateTime:datetime:::Due_Date_Time ActivityDate:date:::Due_Date_Only
DurationInMinutes:int:::Duration StartDateTime:datetime:::Start_Date_Time EndDateTime:datetime:::End_Date_Time
Description:textarea:32000:T AccountId:Account::R OwnerId:User::D:Assigned_To_ID IsPrivate:boolean::D:Private
ShowAs:picklist::DP:Show_Time_As IsChild:boolean::RD IsGroupEvent:boolean::RD:Group_Event
GroupEventType:picklist::RD IsArchived:boolean::RD:Archived IsReminderSet:boolean::D:Reminder_Set
ReminderDateTime:datetime:::Reminder_Date/Time EventSubtype:picklist:40:CD Sync_Key__c:string:255:XUL
IsRecurrence:boolean::RD:Create_Recurring_Series_of_Events IsRecurrence2:boolean::RD:Repeat
Recurrence2PatternText:textarea:512:CT:Recurrence_Pattern Recurrence2PatternVersion:picklist:40:R:Pattern_Version
Recurrence2PatternTimeZone:string:255:R:Recurrence_Pattern_Time_Zone_Reference
Recurrence2PatternStartDate:datetime::R:Recurrence_Pattern_Start IsRecurrence2Exception:boolean::RD:Is_Exception
IsRecurrence2Exclusion:boolean::RD:Historical_Event,_Not_Following_Recurrence
EventWhoIds:*Contact|Lead::T WhoCount:int::R:Relation_Count WhatCount:int::R:Related_To_Count
"""
# An object of a customer's own for what takes place.
MEETING = """
Name:string:80:N Start__c:datetime::! End__c:datetime All_Day__c:boolean::D Place__c:string:255 Notes__c:textarea:32000:T
OwnerId:User::D Sync_Key__c:string:255:XUL
"""
EVENT_RELATION = """
EventId:Event::!C RelationId:Account|Contact|Lead|Opportunity|User::!C IsParent:boolean::CD IsWhat:boolean::CD
IsInvitee:boolean::D Status:picklist::DP Response:string:255 RespondedDate:datetime AccountId:Account::R
"""
TASK_RELATION = """
TaskId:Task::!C RelationId:Account|Contact|Lead|Opportunity::!C IsWhat:boolean::CD AccountId:Account::R
"""
EMAIL_MESSAGE = """
ParentId:Case::C ActivityId:Task::R TextBody:textarea:32000:T HtmlBody:textarea:131072:T:HTML_Body Headers:textarea:32000:T
Subject:string:3000 FromName:string:1000 FromAddress:email:1000 ToAddress:string:4000 CcAddress:string:4000::CC_Address
BccAddress:string:4000::BCC_Address Incoming:boolean::D:Is_Incoming HasAttachment:boolean::RD Status:picklist::!DP
MessageDate:datetime ReplyToEmailMessageId:EmailMessage::C IsExternallyVisible:boolean::D MessageIdentifier:string:765
ThreadIdentifier:string:765 IsClientManaged:boolean::CD IsPrivateDraft:boolean::D RelatedToId:Account|Opportunity
IsTracked:boolean::RD IsOpened:boolean::RD:Opened? IsBounced:boolean::RD
ToIds:*Contact|Lead|User::T CcIds:*Contact|Lead|User::T:CC_Ids BccIds:*Contact|Lead|User::T:BCC_Ids
ContentDocumentIds:*ContentDocument::T Sync_Key__c:string:255:XUL
"""
EMAIL_MESSAGE_RELATION = """
EmailMessageId:EmailMessage::!C RelationId:Contact|Lead|User::C RelationType:picklist::!CP RelationAddress:string:1000:C
RelationObjectType:picklist::R
"""
CONTACT_ROLE = """
OpportunityId:Opportunity::!C ContactId:Contact::! Role:picklist IsPrimary:boolean::D:Primary
"""
CONTENT_VERSION = """
ContentDocumentId:ContentDocument::C IsLatest:boolean::RD ContentUrl:url:1300:R VersionNumber:string:20:R Title:string:255:N
Description:textarea:1000 ReasonForChange:string:1000 PathOnClient:string:500:!C ContentModifiedDate:datetime::R
ContentModifiedById:User::R OwnerId:User::D IsMajorVersion:boolean::CD FileType:string:20:R ContentSize:int::R:Size
FileExtension:string:40:R FirstPublishLocationId:Account|Contact|EmailMessage|Event|Lead|Opportunity|Task|User::C
Origin:picklist::CDP:Content_Origin ContentLocation:picklist::CDP Checksum:string:50:R VersionData:base64::!CT
"""
CONTENT_DOCUMENT = """
Title:string:255:RN OwnerId:User::R IsArchived:boolean::RD LatestPublishedVersionId:ContentVersion::R Description:textarea:1000:RT
ContentSize:int::R:Size FileType:string:20:R FileExtension:string:40:R ContentModifiedDate:datetime::R
"""
CONTENT_DOCUMENT_LINK = """
LinkedEntityId:Account|Contact|EmailMessage|Event|Lead|Opportunity|Task|User::!C ContentDocumentId:ContentDocument::!C
ShareType:picklist::DP Visibility:picklist::DP
"""
# What can be asked of whoever a lookup to one of several objects leads to.
NAME = """
Id:id::R Name:string:255:RN FirstName:string:40:R LastName:string:80:R Type:picklist:40:R Email:email:80:R Phone:phone:40:R
Title:string:128:R Username:string:80:R IsActive:boolean::R
"""

_INDUSTRY = ("Agriculture", "Banking", "Education", "Energy", "Food & Beverage", "Healthcare", "Manufacturing", "Media", "Retail",
             "Technology", "Other")  # fmt: skip
_RATING, _TIER = ("Hot", "Warm", "Cold"), ("Gold", "Silver", "Bronze")
_SALUTATION = ("Mr.", "Ms.", "Mrs.", "Dr.", "Prof.")
_SOURCE = ("Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other")
_INTERESTS = ("Pumps", "Valves", "Sensors", "Service")
_ZONES, _LOCALES = ("Europe/London", "America/New_York", "Europe/Berlin", "UTC"), ("en_GB", "en_US", "de_DE")
PICKLISTS: dict[str, tuple[str, ...]] = {
    "Account.Type": ("Prospect", "Customer - Direct", "Customer - Channel", "Other"),
    "Account.Industry": _INDUSTRY, "Account.Rating": _RATING, "Account.Tier__c": _TIER,
    "Account.Salutation": _SALUTATION, "Account.PersonLeadSource": _SOURCE,
    "Contact.Salutation": _SALUTATION, "Contact.LeadSource": _SOURCE, "Contact.Tier__c": _TIER, "Contact.Interests__c": _INTERESTS,
    "Lead.Salutation": _SALUTATION, "Lead.LeadSource": _SOURCE, "Lead.Industry": _INDUSTRY, "Lead.Rating": _RATING,
    "Lead.Status": ("Open - Not Contacted", "Working - Contacted", "Closed - Converted", "Closed - Not Converted"),
    "Lead.Tier__c": _TIER, "Lead.Interests__c": _INTERESTS,
    "Opportunity.StageName": ("Prospecting", "Qualification", "Proposal/Price Quote", "Negotiation/Review", "Closed Won", "Closed Lost"),
    "Opportunity.Type": ("Existing Customer - Upgrade", "Existing Customer - Replacement", "New Customer"),
    "Opportunity.LeadSource": _SOURCE,
    "User.TimeZoneSidKey": _ZONES, "User.LocaleSidKey": _LOCALES, "User.LanguageLocaleKey": ("en_US", "de"), "User.UserType": ("Standard",),
    "Task.Status": ("Not Started", "In Progress", "Completed", "Waiting on someone else", "Deferred"),
    "Task.Priority": ("High", "Normal", "Low"),
    "Task.TaskSubtype": ("Task", "Email", "ListEmail", "Cadence", "Call", "LinkedIn"),
    "Task.CallType": ("Internal", "Inbound", "Outbound"),
    "Event.ShowAs": ("Busy", "OutOfOffice", "Free"), "Event.GroupEventType": ("0", "1", "2", "3"), "Event.EventSubtype": ("Event",),
    "Event.Recurrence2PatternVersion": ("1",),
    "EventRelation.Status": ("New", "Accepted", "Declined"),
    "EmailMessage.Status": ("0", "1", "2", "3", "4", "5"),
    "EmailMessageRelation.RelationType": ("ToAddress", "CcAddress", "BccAddress", "FromAddress", "OtherAddress"),
    "EmailMessageRelation.RelationObjectType": ("Contact", "Lead", "User"),
    "OpportunityContactRole.Role": ("Business User", "Decision Maker", "Economic Buyer", "Economic Decision Maker", "Evaluator",
                                    "Executive Sponsor", "Influencer", "Technical Buyer", "Other"),
    "ContentVersion.Origin": ("C", "H"), "ContentVersion.ContentLocation": ("S", "E", "L"),
    "ContentDocumentLink.ShareType": ("V", "C", "I"),
    "ContentDocumentLink.Visibility": ("AllUsers", "InternalUsers", "SharedUsers"),
}  # fmt: skip
# What people read where a value is a code.
VALUE_LABELS = {
    "EmailMessage.Status": {"0": "New", "1": "Read", "2": "Replied", "3": "Sent", "4": "Forwarded", "5": "Draft"},
    "Event.GroupEventType": {"0": "Non-group Event", "1": "Group Event", "2": "Proposed Event", "3": "Series Pattern Event"},
    "ContentDocumentLink.ShareType": {"V": "Viewer", "C": "Collaborator", "I": "Inferred"},
}
# What a record gets that does not say: the first value of a picklist would often be wrong.
DEFAULTS = {
    "Lead.Status": "Open - Not Contacted", "Lead.IsUnreadByOwner": True,
    "Task.Status": "Not Started", "Task.Priority": "Normal", "Task.TaskSubtype": "Task",
    "Event.ShowAs": "Busy", "Event.GroupEventType": "0", "Event.EventSubtype": "Event",
    "User.IsActive": True, "User.TimeZoneSidKey": "Europe/London", "User.LocaleSidKey": "en_GB", "User.LanguageLocaleKey": "en_US",
    "User.UserType": "Standard",
    "EventRelation.Status": "New", "EmailMessage.Status": "0",
    "ContentVersion.Origin": "H", "ContentVersion.ContentLocation": "S",
    "ContentDocumentLink.ShareType": "V", "ContentDocumentLink.Visibility": "AllUsers",
}  # fmt: skip
PROBABILITY = {
    "Prospecting": 10.0, "Qualification": 20.0, "Proposal/Price Quote": 60.0, "Negotiation/Review": 80.0,
    "Closed Won": 100.0, "Closed Lost": 0.0,
}  # fmt: skip
# name -> (prefix, label, plural, fields, rights): c create, u update, d delete, m merge.
OBJECTS = {
    "Account": ("001", "Account", "Accounts", ACCOUNT + PERSON_ACCOUNT, "cudm"),
    "Contact": ("003", "Contact", "Contacts", CONTACT, "cudm"),
    "ContentDocument": ("069", "Content Document", "Content Documents", CONTENT_DOCUMENT, "d"),
    "ContentDocumentLink": ("06A", "Content Document Link", "Content Document Link", CONTENT_DOCUMENT_LINK, "cud"),
    "ContentVersion": ("068", "Content Version", "Content Versions", CONTENT_VERSION, "cu"),
    "EmailMessage": ("02s", "Email Message", "Email Messages", EMAIL_MESSAGE, "cud"),
    "EmailMessageRelation": ("0dO", "Email Message Relation", "Email Message Relations", EMAIL_MESSAGE_RELATION, "cd"),
    "Event": ("00U", "Event", "Events", EVENT, "cud"),
    "EventRelation": ("0RE", "Event Relation", "Event Relations", EVENT_RELATION, "cud"),
    "Lead": ("00Q", "Lead", "Leads", LEAD, "cudm"),
    "Meeting__c": ("a01", "Meeting", "Meetings", MEETING, "cud"),
    "Opportunity": ("006", "Opportunity", "Opportunities", OPPORTUNITY, "cud"),
    "OpportunityContactRole": ("00K", "Opportunity Contact Role", "Opportunity Contact Roles", CONTACT_ROLE, "cud"),
    "Task": ("00T", "Task", "Tasks", TASK, "cud"),
    "TaskRelation": ("0RT", "Task Relation", "Task Relations", TASK_RELATION, "cud"),
    "User": ("005", "User", "Users", USER, ""),
}
# What goes to the recycle bin with its parent; any other lookup to a deleted record is left or cleared.
CASCADES = {
    ("Contact", "AccountId"): "Contacts", ("Opportunity", "AccountId"): "Opportunities",
    ("Task", "WhoId"): "Tasks", ("Task", "WhatId"): "Tasks", ("Event", "WhoId"): "Events", ("Event", "WhatId"): "Events",
    ("EventRelation", "EventId"): "EventRelations", ("TaskRelation", "TaskId"): "TaskRelations",
    ("EmailMessage", "ActivityId"): "EmailMessages", ("EmailMessageRelation", "EmailMessageId"): "EmailMessageRelations",
    ("OpportunityContactRole", "OpportunityId"): "OpportunityContactRoles",
    ("OpportunityContactRole", "ContactId"): "OpportunityContactRoles",
    ("ContentDocumentLink", "LinkedEntityId"): "ContentDocumentLinks",
    ("ContentDocumentLink", "ContentDocumentId"): "ContentDocumentLinks",
    ("ContentVersion", "ContentDocumentId"): "ContentVersions",
}  # fmt: skip
CLEARED = {
    ("Contact", "ReportsToId"), ("Account", "ParentId"), ("EmailMessage", "ReplyToEmailMessageId"),
    ("EmailMessage", "RelatedToId"),
}  # fmt: skip
# What hangs on another record comes back with it, not by itself.
NEVER_UNDELETED = frozenset((
    "ContentDocumentLink", "ContentVersion", "EmailMessageRelation", "EventRelation", "OpportunityContactRole", "TaskRelation",
))  # fmt: skip
# Whose sharing decides who may see and change a record that nobody owns: that of the record it leads to.
GOVERNED = {
    "EventRelation": "EventId", "TaskRelation": "TaskId", "OpportunityContactRole": "OpportunityId", "EmailMessage": "ActivityId",
    "EmailMessageRelation": "EmailMessageId", "ContentDocumentLink": "LinkedEntityId",
}  # fmt: skip
# Whose rows a list of ids shows.
JOINED_BY = {
    "Event.EventWhoIds": "EventRelation", "Task.TaskWhoIds": "TaskRelation",
    **{f"EmailMessage.{name}": "EmailMessageRelation" for name in ("ToIds", "CcIds", "BccIds")},
    "EmailMessage.ContentDocumentIds": "ContentDocumentLink",
}  # fmt: skip
# What an organisation has only while a switch is on: objects, and fields of others.
FEATURES = {
    "enhanced_email": ("EmailMessage", "EmailMessageRelation"),
    "email_id_lists": tuple(f"EmailMessage.{name}" for name in ("ToIds", "CcIds", "BccIds", "ContentDocumentIds")),
    "email_sync_key": ("EmailMessage.Sync_Key__c",),
    "meeting_object": ("Meeting__c",),
    "shared_activities": (
        "TaskRelation", *(f"EventRelation.{name}" for name in ("IsParent", "IsWhat", "IsInvitee", "AccountId")),
        *(f"Event.{name}" for name in ("EventWhoIds", "WhoCount", "WhatCount")),
        *(f"Task.{name}" for name in ("TaskWhoIds", "WhoCount", "WhatCount")),
    ),
    "person_accounts": ("Contact.IsPersonAccount", *(f"Account.{word.split(':')[0]}" for word in PERSON_ACCOUNT.split())),
}  # fmt: skip
